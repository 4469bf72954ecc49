# Read by CPack once for each kind of package: what goes into it, and where to.
set(components_TGZ archive)
set(components_DEB system debian)
set(components_RPM system redhat)

list(GET CPACK_INSTALL_CMAKE_PROJECTS 0 build)
set(CPACK_INSTALL_CMAKE_PROJECTS)
foreach(component ${components_${CPACK_GENERATOR}})
  list(APPEND CPACK_INSTALL_CMAKE_PROJECTS ${build} drainwatch ${component} /)
endforeach()

if(NOT CPACK_GENERATOR STREQUAL "TGZ")
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
endif()
