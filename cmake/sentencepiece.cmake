# templora_sentencepiece: sentencepiece, static, from the source package of its Python module
# (distributions carry releases that crash on hostile models or export protobuf's symbols).

set(SENTENCEPIECE_VERSION 0.2.1)
set(spm_package sentencepiece-${SENTENCEPIECE_VERSION})
set(spm_cache $ENV{XDG_CACHE_HOME})
if(NOT spm_cache)
  set(spm_cache $ENV{HOME}/.cache)
endif()
find_file(TEMPLORA_SENTENCEPIECE ${spm_package}.tar.gz
  PATHS ${TEMPLORA_DEPS} ${spm_cache}/templora NO_DEFAULT_PATH
  DOC "Source package of sentencepiece ${SENTENCEPIECE_VERSION}")
if(NOT TEMPLORA_SENTENCEPIECE)
  message(FATAL_ERROR "${spm_package}.tar.gz: not in ${TEMPLORA_DEPS} nor ${spm_cache}/templora; "
    "run scripts/templora --help once, which fetches it")
endif()

set(spm_source ${PROJECT_BINARY_DIR}/${spm_package}/sentencepiece)
if(NOT EXISTS ${spm_source}/CMakeLists.txt)
  file(ARCHIVE_EXTRACT INPUT ${TEMPLORA_SENTENCEPIECE} DESTINATION ${PROJECT_BINARY_DIR})
endif()

if(TARGET sentencepiece-static)
  message(FATAL_ERROR "sentencepiece-static: this project has such a target already, templora brings its own; add "
    "templora first, or install it and use find_package(templora)")
endif()
# Its old policies would leave CMAKE_INSTALL_LIBDIR and others empty for everybody after it.
include(GNUInstallDirs)
# Variables of this folder and not the cache's, which a project that adds templora would see.
set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)
set(SPM_ENABLE_SHARED OFF)
set(SPM_ENABLE_TCMALLOC OFF)
set(SPM_BUILD_TEST OFF)
# Its warnings and its old cmake_minimum_required are not our concern.
set(CMAKE_POLICY_VERSION_MINIMUM 3.10)
set(CMAKE_MESSAGE_LOG_LEVEL WARNING)
add_subdirectory(${spm_source} ${PROJECT_BINARY_DIR}/sentencepiece EXCLUDE_FROM_ALL)
set(CMAKE_MESSAGE_LOG_LEVEL STATUS)
target_compile_options(sentencepiece-static PRIVATE -w)

add_library(templora_sentencepiece INTERFACE)
target_include_directories(templora_sentencepiece SYSTEM INTERFACE $<BUILD_INTERFACE:${spm_source}/src>)
# Its protobuf must not meet torch's: none of its symbols leave the executable.
target_link_options(templora_sentencepiece INTERFACE LINKER:--exclude-libs,libsentencepiece.a)
target_link_libraries(templora_sentencepiece INTERFACE sentencepiece-static)
