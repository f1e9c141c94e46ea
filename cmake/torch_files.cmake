# What our own files that include torch are compiled and linked with.

# The MKL symbol has to sit in the executable itself: an object library, never a static one.
add_library(templora_mkl_symbol OBJECT ${PROJECT_SOURCE_DIR}/cmake/mkl_symbol.cpp)
target_link_libraries(templora_mkl_symbol PRIVATE templora_flags)
# The same symbol for LD_PRELOAD under other programs, so that they can be compared with it.
add_library(templora_mkl_preload SHARED EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/cmake/mkl_symbol.cpp)

# One precompiled header for all files that include torch; they must share its flags.
add_library(templora_pch OBJECT ${PROJECT_BINARY_DIR}/pch.cpp)
target_link_libraries(templora_pch PUBLIC templora_flags templora::torch)
target_compile_options(templora_pch PRIVATE -fpch-preprocess)  # what ccache needs
target_precompile_headers(templora_pch PRIVATE
  <ATen/ATen.h> <torch/types.h> <torch/nn/module.h> <torch/nn/pimpl.h> <torch/csrc/autograd/custom_function.h>)

# Links TARGET with torch and compiles it with the shared precompiled header.
function(templora_use_torch target)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:templora_flags> PUBLIC templora::torch)
  target_compile_options(${target} PRIVATE -fpch-preprocess)
  target_precompile_headers(${target} REUSE_FROM templora_pch)
endfunction()
