#include "text/aligned_text.h"

#include <algorithm>

namespace templora {

std::size_t AlignedText::end_of(std::size_t bytes) const {
  if (bytes == 0) return begin_;
  if (!ends_.empty()) return ends_[bytes - 1];
  while (bytes > 0 && bytes < text_.size() && (static_cast<unsigned char>(text_[bytes]) & 0xC0) == 0x80) --bytes;
  return begin_ + bytes;
}

void AlignedTextBuilder::keep(std::size_t begin, std::size_t end) {
  out_.text_.append(from_.text_, begin, end - begin);
  for (std::size_t i = begin + 1; i <= end; ++i) out_.ends_.push_back(static_cast<std::uint32_t>(from_.end_of(i)));
}

void AlignedTextBuilder::replace(std::size_t begin, std::size_t end, std::string_view by) {
  if (by.empty()) return;
  out_.text_.append(by);
  out_.ends_.insert(out_.ends_.end(), by.size() - 1, static_cast<std::uint32_t>(from_.end_of(begin)));
  out_.ends_.push_back(static_cast<std::uint32_t>(from_.end_of(end)));
}

AlignedText AlignedTextBuilder::take() { return std::move(out_); }

}  // namespace templora
