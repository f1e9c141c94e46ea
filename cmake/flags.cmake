# templora_usage: what a file needs that includes our headers, ours or another project's. templora_flags: what else
# every file of ours is compiled with, which no other project gets.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
if(templora_alone)  # another project has its own
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  set(CMAKE_CXX_FLAGS_RELEASE "-O2")
  set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")
endif()

# Warnings stop the build only with compilers they were tried with: a newer one knows new warnings.
if(templora_alone AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  set(werror_default ON)
else()
  set(werror_default OFF)
endif()
option(TEMPLORA_WERROR "Treat warnings in our own code as errors" ${werror_default})

# Files of a target are compiled by fours: most of a file's time goes to headers and to instances that its neighbours
# need too. OFF shows a file that leans on a neighbour's #include, and is what an editor's tools want.
option(TEMPLORA_UNITY "Compile the files of a target by fours" ON)
function(templora_compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${TEMPLORA_UNITY} UNITY_BUILD_BATCH_SIZE 4)
endfunction()

find_program(TEMPLORA_CCACHE ccache)
mark_as_advanced(TEMPLORA_CCACHE)
if(templora_alone AND TEMPLORA_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${TEMPLORA_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${TEMPLORA_CCACHE})
endif()

if(NOT TARGET Threads::Threads)
  find_package(Threads REQUIRED)
  set_target_properties(Threads::Threads PROPERTIES IMPORTED_GLOBAL TRUE)  # seen by a project that adds this one
endif()

add_library(templora_usage INTERFACE)
target_compile_features(templora_usage INTERFACE cxx_std_20)
target_include_directories(templora_usage INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/libtemplora>)
# Libraries collected by scripts/collect-deps come before the system's.
set(TEMPLORA_DEPS ${PROJECT_SOURCE_DIR}/deps CACHE PATH "Folder filled by scripts/collect-deps")
if(EXISTS ${TEMPLORA_DEPS}/include)
  target_include_directories(templora_usage SYSTEM INTERFACE $<BUILD_INTERFACE:${TEMPLORA_DEPS}/include>)
endif()
# Always: torch's classes have another layout without it, and our checks do not use it.
target_compile_definitions(templora_usage INTERFACE NDEBUG)
target_link_libraries(templora_usage INTERFACE Threads::Threads)

add_library(templora_flags INTERFACE)
target_compile_definitions(templora_flags INTERFACE FMT_HEADER_ONLY TEMPLORA_VERSION="${PROJECT_VERSION}")
target_compile_options(templora_flags INTERFACE -Wall -Wextra $<$<BOOL:${TEMPLORA_WERROR}>:-Werror>)
target_link_libraries(templora_flags INTERFACE templora_usage)

# One clear line for a missing header, instead of a page of compiler output.
function(templora_require_header header debian_package)
  find_path(TEMPLORA_FOUND_${debian_package} ${header} HINTS ${TEMPLORA_DEPS}/include)
  mark_as_advanced(TEMPLORA_FOUND_${debian_package})
  if(NOT TEMPLORA_FOUND_${debian_package})
    message(FATAL_ERROR "${header}: not found; install ${debian_package}, or run scripts/templora, which does")
  endif()
endfunction()
templora_require_header(nlohmann/json.hpp nlohmann-json3-dev)
if(TEMPLORA_PROGRAM)
  templora_require_header(CLI/CLI.hpp libcli11-dev)
endif()
templora_require_header(fmt/format.h libfmt-dev)
templora_require_header(xxhash.h libxxhash-dev)

# The precompiled header of what needs no torch: JSON and fmt are most of what such a file reads.
file(WRITE ${PROJECT_BINARY_DIR}/pch.cpp.in "\n")
configure_file(${PROJECT_BINARY_DIR}/pch.cpp.in ${PROJECT_BINARY_DIR}/pch.cpp COPYONLY)
add_library(templora_plain_pch OBJECT ${PROJECT_BINARY_DIR}/pch.cpp)
target_link_libraries(templora_plain_pch PUBLIC templora_flags)
set(TEMPLORA_PCH_OPTIONS -fpch-preprocess)  # what ccache needs
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND TEMPLORA_PCH_OPTIONS -Wno-restrict)  # GCC 12 sees it in any "text" + string
endif()
target_compile_options(templora_plain_pch PRIVATE ${TEMPLORA_PCH_OPTIONS})
target_precompile_headers(templora_plain_pch PRIVATE
  <algorithm> <filesystem> <functional> <map> <optional> <string> <vector> <fmt/format.h> <nlohmann/json.hpp>)

# Compiles TARGET, which needs no torch, with that header.
function(templora_without_torch target)
  target_compile_options(${target} PRIVATE ${TEMPLORA_PCH_OPTIONS})
  target_precompile_headers(${target} REUSE_FROM templora_plain_pch)
endfunction()
