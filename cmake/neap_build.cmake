# How Neap is compiled: flags, the libraries that the options name, and the functions that CMakeLists.txt is written in.
# Two invariants. A target's include folders are exactly what it may know: a layer the folders it names, bindings and
# tests only build/include, which holds copies of the public headers and nothing else. And libneap links no BLAS and no
# Lua: those belong to the program and the module. A target whose folder has no sources is left out, not an error.

include(GNUInstallDirs)

set(NEAP_PUBLIC_DIR ${CMAKE_BINARY_DIR}/include)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# --- Language and flags ---------------------------------------------------------------------------------------------

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O3 -g1")
set(CMAKE_C_FLAGS_DEBUG "-O0 -g")

# NaN and Inf stay honest, and what is fused into one multiply-add is the same in every build of an instruction set:
# never in the baseline, always in those that have the instruction.
add_compile_options(-Wall -Wextra -fno-math-errno -fno-trapping-math -ffp-contract=off)
if(NEAP_WERROR)
    add_compile_options(-Werror)
endif()
if(NEAP_SANITIZE)
    set(CMAKE_C_FLAGS_RELEASE "-O1 -g")
    add_compile_options(-fsanitize=${NEAP_SANITIZE} -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${NEAP_SANITIZE})
    if(NEAP_SANITIZE MATCHES "undefined")
        add_compile_options(-fno-sanitize-recover=undefined)
    endif()
endif()

# What was never written is zero under sanitizers and a pattern in the torture build: code that reads it differs from the
# plain build, and from one run to the next it does not.
if(NEAP_SANITIZE AND NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    add_compile_options(-ftrivial-auto-var-init=zero)
elseif(NEAP_TORTURE)
    add_compile_options(-ftrivial-auto-var-init=pattern)
endif()
if(NEAP_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# --- Libraries: found under their options, named in NEAP_LIBS (paths to build with) and NEAP_LIB_NAMES (to install) --

find_package(PkgConfig REQUIRED)
set(NEAP_LIBS m)
set(NEAP_LIB_NAMES m)
set(NEAP_DEFINITIONS)
set(NEAP_LIB_INCLUDES)

# neap_uses(PNG libpng png): with -DNEAP_PNG=ON the runtime links pkg-config's libpng, is compiled with NP_WITH_PNG=1,
# and whoever links libneap.a links -lpng.
function(neap_uses option module name)
    if(NOT NEAP_${option})
        return()
    endif()
    pkg_check_modules(NEAP_PC_${option} REQUIRED ${module})
    list(APPEND NEAP_LIBS ${NEAP_PC_${option}_LINK_LIBRARIES})
    list(APPEND NEAP_LIB_NAMES ${name})
    list(APPEND NEAP_LIB_INCLUDES ${NEAP_PC_${option}_INCLUDE_DIRS})
    list(APPEND NEAP_DEFINITIONS NP_WITH_${option}=1)
    foreach(variable NEAP_LIBS NEAP_LIB_NAMES NEAP_LIB_INCLUDES NEAP_DEFINITIONS)
        set(${variable} ${${variable}} PARENT_SCOPE)
    endforeach()
endfunction()

neap_uses(PNG libpng png)
neap_uses(JSON jansson jansson)
neap_uses(ZLIB zlib z)
if(NEAP_THREADS)
    set(THREADS_PREFER_PTHREAD_FLAG ON)
    find_package(Threads REQUIRED)
    list(APPEND NEAP_LIBS pthread)
    list(APPEND NEAP_LIB_NAMES pthread)
    list(APPEND NEAP_DEFINITIONS NP_WITH_THREADS=1)
endif()
if(NEAP_TORTURE)
    list(APPEND NEAP_DEFINITIONS NP_TORTURE=1)
endif()

# --- Public headers -------------------------------------------------------------------------------------------------

file(MAKE_DIRECTORY ${NEAP_PUBLIC_DIR})
set(NEAP_PUBLIC_HEADERS)
file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/*.h ${CMAKE_SOURCE_DIR}/bindings/neap_lua.h)
foreach(header ${headers})
    get_filename_component(name ${header} NAME)
    configure_file(${header} ${NEAP_PUBLIC_DIR}/${name} COPYONLY)
    list(APPEND NEAP_PUBLIC_HEADERS ${NEAP_PUBLIC_DIR}/${name})
endforeach()

# --- Layers ---------------------------------------------------------------------------------------------------------

# Files named *_isa.c are compiled once per instruction set, with NP_ISA naming it: a suffix for the names they define.
set(NEAP_ISAS baseline)
set(NEAP_ISA_DEFINITIONS)
set(NEAP_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c -ffp-contract=fast)
set(NEAP_ISA_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c
    -mprefer-vector-width=512 -ffp-contract=fast)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
    list(APPEND NEAP_ISAS avx2 avx512)
    list(APPEND NEAP_ISA_DEFINITIONS NP_HAVE_AVX2=1 NP_HAVE_AVX512=1)
endif()

set(NEAP_OBJECTS)

function(neap_object_library name folder)
    cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "SOURCES;SEES;OPTIONS;DEFINITIONS")
    add_library(${name} OBJECT ${arg_SOURCES})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/runtime/${folder} ${NEAP_PUBLIC_DIR})
    foreach(other ${arg_SEES})
        target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/runtime/${other})
    endforeach()
    target_include_directories(${name} SYSTEM PRIVATE ${NEAP_LIB_INCLUDES})
    target_compile_definitions(${name} PRIVATE ${NEAP_DEFINITIONS} ${arg_DEFINITIONS})
    target_compile_options(${name} PRIVATE ${arg_OPTIONS})
    set(NEAP_OBJECTS ${NEAP_OBJECTS} $<TARGET_OBJECTS:${name}> PARENT_SCOPE)
endfunction()

function(neap_layer folder)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/${folder}/*.c)
    set(per_isa ${sources})
    list(FILTER per_isa INCLUDE REGEX "_isa\\.c$")
    list(FILTER sources EXCLUDE REGEX "_isa\\.c$")
    set(definitions)
    if(folder STREQUAL "kernels")
        # Vector types wider than the baseline's registers are passed between static functions only; and Clang says of
        # each loop that it could not vectorise as asked, which matters to benchmarks, not to a build, and of each
        # condition joined with & or |, which is how a loop does without branches.
        set(definitions ${NEAP_ISA_DEFINITIONS})
        set(options -Wno-psabi $<$<C_COMPILER_ID:Clang>:-Wno-pass-failed> $<$<C_COMPILER_ID:Clang>:-Wno-bitwise-conditional-parentheses>)
    endif()
    if(sources)
        neap_object_library(neap_${folder} ${folder} SOURCES ${sources} SEES ${ARGN}
            OPTIONS ${options} DEFINITIONS ${definitions})
    endif()
    if(per_isa)
        foreach(isa ${NEAP_ISAS})
            neap_object_library(neap_${folder}_${isa} ${folder} SOURCES ${per_isa} SEES ${ARGN}
                OPTIONS ${options} ${NEAP_ISA_FLAGS_${isa}} DEFINITIONS ${definitions} NP_ISA=${isa})
        endforeach()
    endif()
    set(NEAP_OBJECTS ${NEAP_OBJECTS} PARENT_SCOPE)
endfunction()

# --- libneap.a and libneap.so ---------------------------------------------------------------------------------------

function(neap_libraries)
    if(NOT NEAP_OBJECTS)
        message(STATUS "runtime/ has no sources yet: libneap is left out")
        return()
    endif()
    add_library(neap_static STATIC ${NEAP_OBJECTS})
    add_library(neap_shared SHARED ${NEAP_OBJECTS})
    set_target_properties(neap_static PROPERTIES OUTPUT_NAME neap EXPORT_NAME neap_static)
    set_target_properties(neap_shared PROPERTIES OUTPUT_NAME neap EXPORT_NAME neap
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
    foreach(library neap_static neap_shared)
        set_target_properties(${library} PROPERTIES LINKER_LANGUAGE C)
        target_include_directories(${library} INTERFACE
            $<BUILD_INTERFACE:${NEAP_PUBLIC_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    endforeach()
    target_link_libraries(neap_shared PRIVATE ${NEAP_LIBS})
    target_link_libraries(neap_static INTERFACE
        "$<BUILD_INTERFACE:${NEAP_LIBS}>" "$<INSTALL_INTERFACE:${NEAP_LIB_NAMES}>")
    if(NOT NEAP_SANITIZE)
        target_link_options(neap_shared PRIVATE -Wl,--no-undefined)
    endif()
endfunction()

# --- The program and the Lua module ---------------------------------------------------------------------------------

# neap_bindings: everything that the program, the module and a host with its own lua_State share.
function(neap_lua)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bindings/lua/*.c)
    file(GLOB program CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bindings/program/*.c)
    if(NOT sources OR NOT TARGET neap_static)
        message(STATUS "bindings/ has no sources yet: the program and the Lua module are left out")
        return()
    endif()
    pkg_check_modules(NEAP_PC_LUA REQUIRED lua5.4)
    # The program holds all of Lua and exports it, so that other C modules load into it.
    find_library(NEAP_LIBLUA_STATIC liblua5.4.a)
    if(NEAP_LIBLUA_STATIC)
        set(liblua -Wl,-E -Wl,--whole-archive ${NEAP_LIBLUA_STATIC} -Wl,--no-whole-archive m dl)
    else()
        set(liblua -Wl,-E ${NEAP_PC_LUA_LINK_LIBRARIES} m dl)
    endif()

    file(GLOB_RECURSE scripts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/lua/neap/*.lua)
    set(embedded ${CMAKE_BINARY_DIR}/neap_embedded.c)
    string(REPLACE ";" "\n" script_list "${scripts}")
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/neap_embedded.txt CONTENT "${script_list}\n" @ONLY)
    add_custom_command(OUTPUT ${embedded}
        COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR}/lua -DLIST=${CMAKE_BINARY_DIR}/neap_embedded.txt
            -DOUT=${embedded} -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
        DEPENDS ${scripts} ${CMAKE_BINARY_DIR}/neap_embedded.txt ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
        COMMENT "Embedding lua/neap" VERBATIM)

    add_library(neap_bindings OBJECT ${sources} ${embedded})
    target_include_directories(neap_bindings PRIVATE
        ${NEAP_PUBLIC_DIR} ${CMAKE_SOURCE_DIR}/bindings ${CMAKE_SOURCE_DIR}/bindings/lua)
    target_include_directories(neap_bindings SYSTEM PRIVATE ${NEAP_PC_LUA_INCLUDE_DIRS})
    set(blas)
    if(NEAP_BLAS)
        pkg_check_modules(NEAP_PC_BLAS REQUIRED openblas)
        target_include_directories(neap_bindings SYSTEM PRIVATE ${NEAP_PC_BLAS_INCLUDE_DIRS})
        target_compile_definitions(neap_bindings PRIVATE NP_WITH_BLAS=1)
        # By the name that the system's alternatives decide about, where there is one, not by one flavour's path.
        find_library(NEAP_OPENBLAS openblas)
        set(blas ${NEAP_PC_BLAS_LINK_LIBRARIES})
        if(NEAP_OPENBLAS)
            set(blas ${NEAP_OPENBLAS})
        endif()
    endif()

    # For hosts: libneap_lua.a beside libneap, in a program that links Lua itself.
    add_library(neap_lua_static STATIC $<TARGET_OBJECTS:neap_bindings>)
    set_target_properties(neap_lua_static PROPERTIES OUTPUT_NAME neap_lua LINKER_LANGUAGE C)
    target_include_directories(neap_lua_static INTERFACE ${NEAP_PUBLIC_DIR})
    target_include_directories(neap_lua_static SYSTEM INTERFACE ${NEAP_PC_LUA_INCLUDE_DIRS})
    target_link_libraries(neap_lua_static INTERFACE neap_static ${blas} ${liblua})

    # The Lua module: Lua's symbols stay undefined, the interpreter that loads it has them.
    add_library(neap_module MODULE $<TARGET_OBJECTS:neap_bindings>)
    set_target_properties(neap_module PROPERTIES OUTPUT_NAME neap PREFIX "" SUFFIX .so LINKER_LANGUAGE C
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lua INSTALL_RPATH "$ORIGIN/../..")
    target_link_libraries(neap_module PRIVATE neap_shared ${blas} m)

    add_executable(neap_program ${program})
    set_target_properties(neap_program PROPERTIES OUTPUT_NAME neap)
    target_include_directories(neap_program PRIVATE ${CMAKE_SOURCE_DIR}/bindings ${CMAKE_SOURCE_DIR}/bindings/lua)
    target_link_libraries(neap_program PRIVATE neap_lua_static)
endfunction()

# --- Tests: programs that see what a user of the library sees -------------------------------------------------------

function(neap_test_programs folder prefix)
    cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "SOURCES;LIBRARIES;OPTIONS;SEES")
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/*.c)
    foreach(source ${sources})
        get_filename_component(stem ${source} NAME_WE)
        set(test ${prefix}_${stem})
        add_executable(${test} ${source} ${arg_SOURCES})
        target_link_libraries(${test} PRIVATE ${arg_LIBRARIES})
        target_link_options(${test} PRIVATE ${arg_OPTIONS})
        target_include_directories(${test} PRIVATE ${arg_SEES})
        set_target_properties(${test} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    endforeach()
endfunction()

function(neap_tests)
    if(TARGET neap_static)
        neap_test_programs(c test_c LIBRARIES neap_static)
        # The kernels beside their naive twins: the one kind of test that sees a layer from inside.
        neap_test_programs(kernels test_kernels LIBRARIES neap_static SEES ${CMAKE_SOURCE_DIR}/runtime/kernels)
        if(NEAP_FUZZ)
            neap_test_programs(fuzz fuzz LIBRARIES neap_static OPTIONS -fsanitize=fuzzer)
        else()
            neap_test_programs(fuzz fuzz LIBRARIES neap_static SOURCES ${CMAKE_SOURCE_DIR}/tests/fuzz/driver/replay.c)
        endif()
    endif()
    if(TARGET neap_lua_static)
        neap_test_programs(host test_host LIBRARIES neap_lua_static)
    endif()
endfunction()
