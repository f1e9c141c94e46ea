#pragma once

#include <string>
#include <vector>

namespace templora {

/// What a mistyped key may have meant.
struct KeyHint {
  std::string key;     ///< a known one
  std::string remark;  ///< why that one, where it does not speak for itself

  /// "the nearest known key is train.epochs".
  std::string text() const;
};

/// The known key that `key` ("train.lr") most likely means: what other programs call so, then a slip of the keyboard
/// in the same section, then the nearest of all.
KeyHint hint_for(const std::string& key, const std::vector<std::string>& known);

}  // namespace templora
