#pragma once

#include <string>

namespace templora {

/// Reports a bug of templora's own and aborts. Never reached by bad input, which throws Error.
[[noreturn]] void check_failed(const char* condition, const char* file, int line, const std::string& detail);

}  // namespace templora

/// Holds in release builds too: code that includes torch is compiled with NDEBUG, which disarms assert.
#define TEMPLORA_CHECK(condition, detail) \
  ((condition) ? void(0) : ::templora::check_failed(#condition, __FILE__, __LINE__, (detail)))
