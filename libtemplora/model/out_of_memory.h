#pragma once

#include <c10/util/Exception.h>

#include "core/memory_words.h"

namespace templora {

/// Whether an error of LibTorch's says that memory is exhausted, on the host or on the device. Other errors speak of
/// memory too: of formats, of overlaps, of an illegal access.
inline bool is_out_of_memory(const c10::Error& error) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         says_out_of_memory(error.what_without_backtrace());
}

}  // namespace templora
