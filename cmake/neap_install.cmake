# Where things go when installed: headers, libneap.a and libneap.so, neap.pc and the CMake package neap (neap::neap is
# the shared library, neap::neap_static the other); with Lua the program, the module neap.so and the Lua files in Lua's
# own folders, and libneap_lua.a with neap-lua.pc for hosts that have a lua_State. Every path in what is installed is
# relative to its file, so the tree may be moved, or installed under another --prefix than it was configured for.

if(NOT TARGET neap_static)
    return()
endif()
include(CMakePackageConfigHelpers)

install(FILES ${NEAP_PUBLIC_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS neap_static neap_shared EXPORT NeapTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/neap)
install(EXPORT NeapTargets NAMESPACE neap:: DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/neap-config-version.cmake COMPATIBILITY SameMajorVersion)
file(WRITE ${CMAKE_BINARY_DIR}/neap-config.cmake "include(\"\${CMAKE_CURRENT_LIST_DIR}/NeapTargets.cmake\")\n")
install(FILES ${CMAKE_BINARY_DIR}/neap-config.cmake ${CMAKE_BINARY_DIR}/neap-config-version.cmake
    DESTINATION ${package_dir})

file(RELATIVE_PATH NEAP_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
string(REGEX REPLACE "/$" "" NEAP_PC_PREFIX ${NEAP_PC_PREFIX})
list(TRANSFORM NEAP_LIB_NAMES PREPEND "-l" OUTPUT_VARIABLE private)
string(REPLACE ";" " " NEAP_PC_PRIVATE "${private}")
configure_file(cmake/neap.pc.in ${CMAKE_BINARY_DIR}/neap.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/neap.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET neap_module)
    install(TARGETS neap_module LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/lua/5.4)
    install(TARGETS neap_lua_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(DIRECTORY ${CMAKE_SOURCE_DIR}/lua/neap DESTINATION ${CMAKE_INSTALL_DATADIR}/lua/5.4
        FILES_MATCHING PATTERN "*.lua")
    if(TARGET neap_program)
        install(TARGETS neap_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
    set(NEAP_PC_LUA_REQUIRES "lua5.4")
    if(NEAP_BLAS)
        string(APPEND NEAP_PC_LUA_REQUIRES " openblas")
    endif()
    configure_file(cmake/neap-lua.pc.in ${CMAKE_BINARY_DIR}/neap-lua.pc @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/neap-lua.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
