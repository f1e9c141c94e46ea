#pragma once

#include <string_view>

namespace templora {

/// Whether this text of LibTorch's says that memory is exhausted, for which it has a type on the device only.
inline bool says_out_of_memory(std::string_view what) {
  for (const char* words : {"DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory",
                            "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED",
                            "Storage size calculation overflowed"})  // more bytes than a number holds
    if (what.find(words) != std::string_view::npos) return true;
  return false;
}

}  // namespace templora
