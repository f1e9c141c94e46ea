#include "core/check.h"

#include <cstdio>
#include <cstdlib>

namespace templora {

void check_failed(const char* condition, const char* file, int line, const std::string& detail) {
  std::fprintf(stderr, "templora: bug: %s:%d: %s does not hold: %s\n", file, line, condition, detail.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace templora
