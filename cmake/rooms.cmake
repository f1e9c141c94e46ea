# Rooms, the program and the tests. Sources are globbed, so that a new file needs no edit here.

# templora_room(NAME [TORCH] [DOORS room…] [LIBRARIES target…]): the library templora_NAME of
# libtemplora/NAME/*.cpp, which may include the rooms named as DOORS and, without passing them on, the
# LIBRARIES. A room without a source file is headers only.
function(templora_room name)
  cmake_parse_arguments(room "TORCH" "" "DOORS;LIBRARIES" ${ARGN})
  list(TRANSFORM room_DOORS PREPEND templora_)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/libtemplora/${name}/*.cpp)
  set(target templora_${name})
  set_property(GLOBAL APPEND PROPERTY templora_rooms ${name})
  if(room_TORCH)
    set_property(GLOBAL APPEND PROPERTY templora_torch_rooms ${name})
  endif()
  if(NOT sources)
    add_library(${target} INTERFACE)
    add_library(templora::${name} ALIAS ${target})
    target_link_libraries(${target} INTERFACE ${room_DOORS} templora_usage $<$<BOOL:${room_TORCH}>:templora::torch>)
    return()
  endif()
  add_library(${target} STATIC ${sources})
  add_library(templora::${name} ALIAS ${target})  # as an installed one is called
  templora_compile_together(${target})
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:templora_flags> ${room_LIBRARIES}
    PUBLIC ${room_DOORS} templora_usage)
  if(room_TORCH)
    templora_use_torch(${target})
  else()
    templora_without_torch(${target})
  endif()
endfunction()

# templora::templora: all rooms, for programs of other projects. The MKL symbol has to sit in their executable itself,
# so its source is compiled there.
function(templora_library)
  get_property(rooms GLOBAL PROPERTY templora_rooms)
  list(TRANSFORM rooms PREPEND templora_)
  add_library(templora_library INTERFACE)
  add_library(templora::templora ALIAS templora_library)
  target_link_libraries(templora_library INTERFACE ${rooms} templora_usage templora::torch)
  target_sources(templora_library INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/cmake/mkl_symbol.cpp>)
endfunction()

# Links an executable with ROOMS, and with what a program that uses torch needs.
function(templora_link_program target)
  list(TRANSFORM ARGN PREPEND templora_)
  target_link_libraries(${target} PRIVATE templora_flags ${ARGN})
  templora_use_torch(${target})
  target_link_libraries(${target} PRIVATE templora_mkl_symbol)
endfunction()

# The executable `templora` of experiments/*.cpp.
function(templora_program)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/experiments/*.cpp)
  if(NOT sources)
    return()
  endif()
  get_property(rooms GLOBAL PROPERTY templora_rooms)
  add_executable(templora ${sources})
  templora_compile_together(templora)
  templora_link_program(templora ${rooms})
endfunction()

# test_<folder> of tests/<folder>/*_test.cpp, and bench_<name> of tests/bench/<name>.cpp: all on demand, by the target
# `tests`.
# A folder named like a room is linked with that room and its doors, any other folder with all rooms.
# Each Catch tag of [unit] [parity] [cli] [slow] [gpu] in a folder becomes one CTest test with that label.
# Python tests, tests/scripts/*_test.py, are labelled cli, or slow where their docstring says "Label: slow".
function(templora_tests)
  find_path(catch2_v2 catch2/catch.hpp HINTS ${TEMPLORA_DEPS}/include)
  add_library(templora_catch_main STATIC EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/tests/catch_main.cpp)
  target_link_libraries(templora_catch_main PUBLIC templora_flags)
  if(NOT catch2_v2)
    find_package(Catch2 3 QUIET PATHS ${TEMPLORA_DEPS})
    if(NOT Catch2_FOUND)
      message(STATUS "Catch2 not found: tests are left out (install catch2)")
      return()
    endif()
    target_link_libraries(templora_catch_main PUBLIC Catch2::Catch2WithMain)
  endif()

  get_property(rooms GLOBAL PROPERTY templora_rooms)
  get_property(torch_rooms GLOBAL PROPERTY templora_torch_rooms)
  add_custom_target(tests)
  file(GLOB test_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/*/*_test.cpp)
  set(folders)
  foreach(source ${test_sources})
    get_filename_component(folder ${source} DIRECTORY)
    list(APPEND folders ${folder})
  endforeach()
  list(REMOVE_DUPLICATES folders)
  foreach(folder ${folders})
    get_filename_component(name ${folder} NAME)
    file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
    set(test test_${name})
    add_executable(${test} EXCLUDE_FROM_ALL ${sources})
    templora_compile_together(${test})
    add_dependencies(tests ${test})
    target_compile_definitions(${test} PRIVATE TEMPLORA_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
      TEMPLORA_BINARY_DIR="${PROJECT_BINARY_DIR}")
    target_include_directories(${test} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    target_link_libraries(${test} PRIVATE templora_catch_main)
    if(NOT TARGET templora_${name})
      templora_link_program(${test} ${rooms})
    elseif(name IN_LIST torch_rooms)
      templora_link_program(${test} ${name})
    else()
      target_link_libraries(${test} PRIVATE templora_${name})
      templora_without_torch(${test})
    endif()
    if(name STREQUAL "cli" AND TARGET templora)
      add_dependencies(${test} templora)
    endif()
    templora_add_ctests(${name} ${sources})
  endforeach()

  file(GLOB benches CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/bench/*.cpp)
  foreach(source ${benches})
    get_filename_component(name ${source} NAME_WE)
    add_executable(bench_${name} EXCLUDE_FROM_ALL ${source})
    add_dependencies(tests bench_${name})  # whoever changes a function they call sees it
    target_include_directories(bench_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    templora_link_program(bench_${name} ${rooms})
  endforeach()

  if(TARGET templora_experiment)
    templora_thread_tests()
  endif()
  foreach(check check_rooms check_tests check_lines)
    add_test(NAME ${check} COMMAND ${TEMPLORA_PYTHON} ${PROJECT_SOURCE_DIR}/scripts/${check}.py)
    set_tests_properties(${check} PROPERTIES LABELS unit)
  endforeach()
  if(TARGET templora)  # asked what commands and options it has
    add_test(NAME check_docs COMMAND ${TEMPLORA_PYTHON} ${PROJECT_SOURCE_DIR}/scripts/check_docs.py
      --program $<TARGET_FILE:templora> --readme-words 1200)
    set_tests_properties(check_docs PROPERTIES LABELS cli)
  endif()
  file(GLOB script_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/scripts/*_test.py)
  foreach(test ${script_tests})
    get_filename_component(name ${test} NAME_WE)
    add_test(NAME scripts.${name}
      COMMAND ${TEMPLORA_PYTHON} ${PROJECT_SOURCE_DIR}/tests/scripts/run.py ${PROJECT_BINARY_DIR} ${test})
    file(STRINGS ${test} slow REGEX "Label: slow" LIMIT_COUNT 1)
    if(slow)
      set_tests_properties(scripts.${name} PROPERTIES LABELS slow RUN_SERIAL ON TIMEOUT 1800)
    else()
      set_tests_properties(scripts.${name} PROPERTIES LABELS cli)
    endif()
  endforeach()
endfunction()

# test_threads of tests/threads/*.cpp, on demand (scripts/test threads): the rooms that two threads work in, compiled
# once more under ThreadSanitizer, over the ordinary libraries of the others.
function(templora_thread_tests)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/threads/*.cpp)
  foreach(room lora train generate model)
    file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/libtemplora/${room}/*.cpp)
    list(APPEND sources ${files})
  endforeach()
  # Left out: functions without a state of their own, files, and what has no second thread.
  set(left_out kernel ops token_nll skinny_gemm sight rope attention tensors clipping cross_entropy dynamic score
    static_decode_step pretrainer peft merge average load config)
  foreach(name ${left_out})
    list(FILTER sources EXCLUDE REGEX "/[^/]*${name}[^/]*\\.cpp$")
  endforeach()
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/libtemplora/experiment/generation*.cpp
    ${PROJECT_SOURCE_DIR}/libtemplora/experiment/context_cache*.cpp
    ${PROJECT_SOURCE_DIR}/libtemplora/experiment/temporary_adapter*.cpp)
  add_executable(test_threads EXCLUDE_FROM_ALL ${sources} ${files})
  target_compile_definitions(test_threads PRIVATE TEMPLORA_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    TEMPLORA_BINARY_DIR="${PROJECT_BINARY_DIR}")
  target_include_directories(test_threads PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_options(test_threads PRIVATE -fsanitize=thread -g -O1 -Wno-tsan -fpch-preprocess)
  # An object of the libraries holds four files, so that one which is needed brings others that are compiled here, too:
  # the first of two counts, which is the one that the sanitizer sees.
  target_link_options(test_threads PRIVATE -fsanitize=thread -Wl,--allow-multiple-definition)
  target_link_libraries(test_threads PRIVATE templora_catch_main templora_experiment templora_flags templora::torch
    templora_mkl_symbol)
  get_target_property(headers templora_pch PRECOMPILE_HEADERS)
  target_precompile_headers(test_threads PRIVATE ${headers})
  add_test(NAME threads COMMAND test_threads)
  set_tests_properties(threads PROPERTIES LABELS threads RUN_SERIAL ON TIMEOUT 1800 ENVIRONMENT
    "OMP_NUM_THREADS=1;TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/threads/suppressions halt_on_error=0")
endfunction()

function(templora_add_ctests name)
  # Tags are read when CMake runs, so an edited test makes it run again.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${ARGN})
  foreach(label unit parity cli slow gpu)
    foreach(source ${ARGN})
      file(STRINGS ${source} tagged REGEX "\"[^\"]*\\[${label}\\]" LIMIT_COUNT 1)
      if(tagged)
        add_test(NAME ${name}.${label} COMMAND test_${name} "[${label}]")
        set_tests_properties(${name}.${label} PROPERTIES LABELS ${label})
        if(label MATCHES "slow|gpu")
          set_tests_properties(${name}.${label} PROPERTIES RUN_SERIAL ON TIMEOUT 1800)
        endif()
        break()
      endif()
    endforeach()
  endforeach()
endfunction()
