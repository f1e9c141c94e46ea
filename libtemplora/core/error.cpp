#include "core/error.h"

#include "core/utf8.h"

namespace templora {

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_character(text);
    if (out.size() + (length == 0 ? 1 : length) > max_bytes) return out + "...";
    const unsigned char lead = static_cast<unsigned char>(text[0]);
    const bool c1 = length == 2 && lead == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;  // U+0080 to U+009F
    if (length == 0 || lead < 0x20 || lead == 0x7F || c1) {
      out += '?';
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

}  // namespace templora
