# Makes OUT: the names of the system calls in HEADER64 and HEADER32, by number, for system_calls.cpp.
function(rows header variable)
  file(STRINGS ${header} lines REGEX "^#define __NR_[a-z]")
  set(rows "")
  foreach(line ${lines})
    string(REGEX REPLACE "^#define __NR_([a-z0-9_]+) +([0-9]+)$" "    {\\2, \"\\1\"},\n" row "${line}")
    string(APPEND rows "${row}")
  endforeach()
  set(${variable} "${rows}" PARENT_SCOPE)
endfunction()

rows(${HEADER64} rows64)
rows(${HEADER32} rows32)
file(WRITE ${OUT} "constexpr SystemCall kCalls64[] = {\n${rows64}};\nconstexpr SystemCall kCalls32[] = {\n${rows32}};\n")
