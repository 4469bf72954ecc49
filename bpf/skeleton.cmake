# drainwatch_bpf_skeleton(NAME SOURCE): a library NAME_skeleton with NAME.skel.h, the BPF object of
# SOURCE and its skeleton. Needs clang and bpftool, no BTF of the build machine.
find_program(CLANG clang REQUIRED)
find_program(BPFTOOL bpftool PATHS /usr/sbin /sbin REQUIRED)

function(drainwatch_bpf_skeleton name source)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(stripped ${CMAKE_CURRENT_BINARY_DIR}/${name}.stripped.bpf.o)
  set(skeleton ${CMAKE_CURRENT_BINARY_DIR}/${name}.skel.h)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CLANG} -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_x86
            -Wall -Wextra -Wno-unused-parameter -Werror
            -I${PROJECT_SOURCE_DIR}/include -I${CMAKE_CURRENT_SOURCE_DIR}
            -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
            -ffile-prefix-map=${PROJECT_SOURCE_DIR}/= -fdebug-compilation-dir=.
            -MD -MF ${object}.d
            -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "BPF ${name}.bpf.o")
  add_custom_command(
    OUTPUT ${skeleton} ${stripped}
    COMMAND ${BPFTOOL} gen object ${stripped} ${object}  # without DWARF, with BTF
    COMMAND ${BPFTOOL} gen skeleton ${stripped} name ${name}_bpf > ${skeleton}
    DEPENDS ${object}
    COMMENT "BPF ${name}.skel.h")
  add_custom_target(${name}_skel DEPENDS ${skeleton})

  add_library(${name}_skeleton INTERFACE)
  add_dependencies(${name}_skeleton ${name}_skel)
  target_include_directories(${name}_skeleton SYSTEM INTERFACE ${CMAKE_CURRENT_BINARY_DIR})
  target_link_libraries(${name}_skeleton INTERFACE ${drainwatch_libbpf})
endfunction()
