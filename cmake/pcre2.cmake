# templora::pcre2: PCRE2 for bytes, static where there is a static library (scripts/collect-deps collects that one).

templora_require_header(pcre2.h libpcre2-dev)
find_library(TEMPLORA_PCRE2 NAMES libpcre2-8.a pcre2-8 HINTS ${TEMPLORA_DEPS}/lib DOC "PCRE2, 8-bit library")
if(NOT TEMPLORA_PCRE2)
  message(FATAL_ERROR "libpcre2-8: pcre2.h is there, the library is not; install libpcre2-dev, or run "
    "scripts/templora, which does")
endif()
add_library(templora::pcre2 INTERFACE IMPORTED GLOBAL)
target_compile_definitions(templora::pcre2 INTERFACE PCRE2_CODE_UNIT_WIDTH=8)
target_link_libraries(templora::pcre2 INTERFACE ${TEMPLORA_PCRE2})
