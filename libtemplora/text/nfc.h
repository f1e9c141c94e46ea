#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

/// Text in Unicode's normal form C as Hugging Face's tokenizers make it.
struct NfcText {
  std::string text;
  /// Stretches that changed: [from, to) of the original became [out_from, out_to) of `text`. What lies between two
  /// stretches is the same, byte for byte.
  struct Change {
    std::size_t from, to, out_from, out_to;
  };
  std::vector<Change> changes;
};

/// `text` is valid UTF-8. Where it is in that form already, `changes` is empty and `text` a copy.
NfcText nfc(std::string_view text);

/// Whether the text surely is in that form: one look at each character. False for some that are.
bool surely_nfc(std::string_view text);

}  // namespace templora
