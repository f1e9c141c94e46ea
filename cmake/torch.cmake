# templora_find_torch(FOLDER [VERSION KIND]) makes templora::torch: an imported LibTorch of our own over the Python
# wheel's folders. find_package(Torch) would demand a CUDA toolkit wherever the wheel was built with CUDA; this serves
# both kinds. FOLDER names one torch; where it is empty, find_torch.py chooses. It has to be of that version and kind
# (cuda or cpu), if they are given. TEMPLORA_TORCH becomes folder, version and kind, or TEMPLORA_TORCH_ERROR the line
# that says why there is none. This file is installed, too: the package finds torch by the same rules.

find_program(TEMPLORA_PYTHON NAMES python3 python)
mark_as_advanced(TEMPLORA_PYTHON)

function(templora_find_torch folder)
  set(TEMPLORA_TORCH_ERROR "" PARENT_SCOPE)
  if(NOT TEMPLORA_PYTHON)
    set(TEMPLORA_TORCH_ERROR "python3: not found; it finds LibTorch" PARENT_SCOPE)
    return()
  endif()
  set(script ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/find_torch.py)  # where it is installed
  if(NOT EXISTS ${script})
    set(script ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../scripts/find_torch.py)
  endif()
  set(choice)
  if(folder)
    set(choice --dir ${folder})
  endif()
  execute_process(
    COMMAND ${TEMPLORA_PYTHON} ${script} ${choice}
    OUTPUT_VARIABLE found ERROR_VARIABLE error RESULT_VARIABLE result
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_STRIP_TRAILING_WHITESPACE)
  if(NOT result EQUAL 0)
    set(TEMPLORA_TORCH_ERROR "${error}" PARENT_SCOPE)
    return()
  endif()
  # find_torch.py prints: folder, version, cuda or cpu, ABI digit, one a line; then the CUDA runtime's library and its
  # header folders, where both are there.
  string(REPLACE "\n" ";" found "${found}")
  list(POP_FRONT found root version kind abi)
  if(ARGN AND NOT "${version};${kind}" STREQUAL "${ARGN}")
    list(JOIN ARGN ", " wanted)
    set(TEMPLORA_TORCH_ERROR "${root}: LibTorch ${version}, ${kind}; this templora was built with ${wanted}: set \
Torch_DIR to such a torch, or build and install templora with this one" PARENT_SCOPE)
    return()
  endif()
  set(TEMPLORA_TORCH ${root} ${version} ${kind} PARENT_SCOPE)
  set(cuda_runtime)
  if(found)
    list(POP_FRONT found cuda_runtime)
  elseif(error)  # it runs on a GPU all the same, but decodes without CUDA graphs
    message(WARNING "${error}")
  endif()
  if(NOT templora_FIND_QUIETLY)
    message(STATUS "LibTorch ${version} (${kind}) in ${root}")
    if(cuda_runtime)
      message(STATUS "CUDA runtime ${cuda_runtime}")
    endif()
  endif()

  set(libraries ${root}/lib/libtorch.so ${root}/lib/libtorch_cpu.so ${root}/lib/libc10.so)
  if(kind STREQUAL "cuda")
    list(APPEND libraries ${root}/lib/libtorch_cuda.so ${root}/lib/libc10_cuda.so ${cuda_runtime})
  endif()
  add_library(templora::torch INTERFACE IMPORTED GLOBAL)
  target_include_directories(templora::torch SYSTEM INTERFACE
    ${root}/include ${root}/include/torch/csrc/api/include ${found})
  target_compile_definitions(templora::torch INTERFACE
    _GLIBCXX_USE_CXX11_ABI=${abi} C10_CUDA_NO_CMAKE_CONFIGURE_FILE)
  if(kind STREQUAL "cuda")
    target_compile_definitions(templora::torch INTERFACE TEMPLORA_TORCH_CUDA)
    if(cuda_runtime)  # with its headers ATen/cuda/CUDAGraph.h and c10/cuda/* compile; what they inline calls it
      target_compile_definitions(templora::torch INTERFACE TEMPLORA_CUDA_HEADERS)
      get_filename_component(cuda_runtime_folder ${cuda_runtime} DIRECTORY)
      target_link_options(templora::torch INTERFACE LINKER:-rpath,${cuda_runtime_folder})
    endif()
  endif()
  # at::parallel_for is inlined, and without -fopenmp it is a plain loop. The OpenMP runtime is torch's own
  # where it brings one: two of them in a process would each start their threads.
  target_compile_options(templora::torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
  file(GLOB openmp ${root}/lib/libgomp*.so*)
  if(openmp)
    list(APPEND libraries ${openmp})
  else()
    target_link_options(templora::torch INTERFACE -fopenmp)
  endif()
  # Nothing of ours names a symbol of libtorch_cuda, yet loading it is what registers the CUDA kernels.
  # Its own dependencies (cublas, cudnn, …) are found at run time through its own rpath.
  target_link_options(templora::torch INTERFACE
    LINKER:-rpath,${root}/lib $<$<STREQUAL:${kind},cuda>:LINKER:--allow-shlib-undefined>)
  target_link_libraries(templora::torch INTERFACE -Wl,--push-state,--no-as-needed ${libraries} -Wl,--pop-state)
endfunction()
