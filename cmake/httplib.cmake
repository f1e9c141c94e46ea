# templora::httplib: cpp-httplib, the web server of `templora watch`. Without it the rest of the program is whole: it is
# not collected by scripts/collect-deps, since it is compiled against OpenSSL.

add_library(templora::httplib INTERFACE IMPORTED GLOBAL)
find_path(httplib_include httplib.h)
find_library(httplib_library cpp-httplib)  # Debian's header has declarations only; upstream's is all of it
if(httplib_include)
  target_compile_definitions(templora::httplib INTERFACE TEMPLORA_HTTPLIB)
  target_include_directories(templora::httplib SYSTEM INTERFACE ${httplib_include})
  if(httplib_library)
    target_link_libraries(templora::httplib INTERFACE ${httplib_library})
    # Classes have the layout that the library was compiled with.
    get_filename_component(folder ${httplib_library} DIRECTORY)
    if(EXISTS ${folder}/pkgconfig/cpp-httplib.pc)
      file(STRINGS ${folder}/pkgconfig/cpp-httplib.pc flags REGEX "^Cflags:")
      string(REGEX MATCHALL "CPPHTTPLIB_[A-Z_]+" definitions "${flags}")
      target_compile_definitions(templora::httplib INTERFACE ${definitions})
    endif()
  endif()
else()
  message(STATUS "httplib.h not found: templora watch is left out (install libcpp-httplib-dev)")
endif()
