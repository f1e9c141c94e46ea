# templora_torch: an imported LibTorch of our own over the Python wheel's folders. find_package(Torch)
# would demand a CUDA toolkit wherever the wheel was built with CUDA; this serves both kinds.

find_program(TEMPLORA_PYTHON NAMES python3 python REQUIRED)
set(Torch_DIR "" CACHE PATH "Torch's folder (with include/ and lib/) or its share/cmake/Torch")
if(Torch_DIR)
  set(torch_choice --dir ${Torch_DIR})
endif()
execute_process(
  COMMAND ${TEMPLORA_PYTHON} ${PROJECT_SOURCE_DIR}/scripts/find_torch.py ${torch_choice}
  OUTPUT_VARIABLE torch_found ERROR_VARIABLE torch_error RESULT_VARIABLE torch_result
  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_STRIP_TRAILING_WHITESPACE)
if(NOT torch_result EQUAL 0)
  message(FATAL_ERROR "${torch_error}")
endif()
# find_torch.py prints: folder, version, cuda or cpu, ABI digit, one a line; then the CUDA runtime's library and its
# header folders, where both are there.
string(REPLACE "\n" ";" torch_found "${torch_found}")
list(POP_FRONT torch_found TORCH_ROOT TORCH_VERSION TORCH_KIND TORCH_ABI)
message(STATUS "LibTorch ${TORCH_VERSION} (${TORCH_KIND}) in ${TORCH_ROOT}")
set(cuda_runtime)
if(torch_found)
  list(POP_FRONT torch_found cuda_runtime)
  message(STATUS "CUDA runtime ${cuda_runtime}")
elseif(torch_error)  # it runs on a GPU all the same, but decodes without CUDA graphs
  message(WARNING "${torch_error}")
endif()

set(torch_libs ${TORCH_ROOT}/lib/libtorch.so ${TORCH_ROOT}/lib/libtorch_cpu.so ${TORCH_ROOT}/lib/libc10.so)
if(TORCH_KIND STREQUAL "cuda")
  list(APPEND torch_libs ${TORCH_ROOT}/lib/libtorch_cuda.so ${TORCH_ROOT}/lib/libc10_cuda.so ${cuda_runtime})
endif()
add_library(templora_torch INTERFACE)
target_include_directories(templora_torch SYSTEM INTERFACE
  ${TORCH_ROOT}/include ${TORCH_ROOT}/include/torch/csrc/api/include ${torch_found})
target_compile_definitions(templora_torch INTERFACE
  _GLIBCXX_USE_CXX11_ABI=${TORCH_ABI} C10_CUDA_NO_CMAKE_CONFIGURE_FILE)
if(TORCH_KIND STREQUAL "cuda")
  target_compile_definitions(templora_torch INTERFACE TEMPLORA_TORCH_CUDA)
  if(cuda_runtime)  # with its headers ATen/cuda/CUDAGraph.h and c10/cuda/* compile; what they inline calls it
    target_compile_definitions(templora_torch INTERFACE TEMPLORA_CUDA_HEADERS)
    get_filename_component(cuda_runtime_folder ${cuda_runtime} DIRECTORY)
    target_link_options(templora_torch INTERFACE LINKER:-rpath,${cuda_runtime_folder})
  endif()
endif()
# at::parallel_for is inlined, and without -fopenmp it is a plain loop. The OpenMP runtime is torch's own
# where it brings one: two of them in a process would each start their threads.
target_compile_options(templora_torch INTERFACE -fopenmp)
file(GLOB torch_openmp ${TORCH_ROOT}/lib/libgomp*.so*)
if(torch_openmp)
  list(APPEND torch_libs ${torch_openmp})
else()
  target_link_options(templora_torch INTERFACE -fopenmp)
endif()
# Nothing of ours names a symbol of libtorch_cuda, yet loading it is what registers the CUDA kernels.
# Its own dependencies (cublas, cudnn, …) are found at run time through its own rpath.
target_link_options(templora_torch INTERFACE
  LINKER:-rpath,${TORCH_ROOT}/lib $<$<STREQUAL:${TORCH_KIND},cuda>:LINKER:--allow-shlib-undefined>)
target_link_libraries(templora_torch INTERFACE
  -Wl,--push-state,--no-as-needed ${torch_libs} -Wl,--pop-state)

# The MKL symbol has to sit in the executable itself: an object library, never a static one.
add_library(templora_mkl_symbol OBJECT ${PROJECT_SOURCE_DIR}/cmake/mkl_symbol.cpp)
target_link_libraries(templora_mkl_symbol PRIVATE templora_flags)
# The same symbol for LD_PRELOAD under other programs, so that they can be compared with it.
add_library(templora_mkl_preload SHARED EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/cmake/mkl_symbol.cpp)

# One precompiled header for all files that include torch; they must share its flags.
add_library(templora_pch OBJECT ${PROJECT_BINARY_DIR}/pch.cpp)
target_link_libraries(templora_pch PUBLIC templora_flags templora_torch)
target_compile_options(templora_pch PRIVATE -fpch-preprocess)  # what ccache needs
target_precompile_headers(templora_pch PRIVATE
  <ATen/ATen.h> <torch/types.h> <torch/nn/module.h> <torch/nn/pimpl.h> <torch/csrc/autograd/custom_function.h>)

# Links TARGET with torch and compiles it with the shared precompiled header.
function(templora_use_torch target)
  target_link_libraries(${target} PUBLIC templora_flags templora_torch)
  target_compile_options(${target} PRIVATE -fpch-preprocess)
  target_precompile_headers(${target} REUSE_FROM templora_pch)
endfunction()
