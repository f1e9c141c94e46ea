#include "config/windows.h"

#include <algorithm>

namespace templora {

Windows windows_for(std::int64_t positions) {
  constexpr std::int64_t kPaperChunk = 1024, kPaperContext = 3072;
  const std::int64_t chunk = std::clamp<std::int64_t>(positions / 2, 1, kPaperChunk);
  return {chunk, std::clamp<std::int64_t>(positions - chunk, 0, kPaperContext)};
}

}  // namespace templora
