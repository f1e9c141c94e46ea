#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"

namespace templora {

/// A small expression over config keys, as in a sweep file's `where` and `set`: integers, doubles, text and booleans,
/// nothing that could loop or reach outside. The grammar is in docs/sweeps.md.
class Expression {
 public:
  /// What a key is worth; may throw.
  using Values = std::function<Json(const std::string& key)>;

  /// `where` begins every message. Throws Error(usage) that shows the place in `text`.
  Expression(std::string text, std::string where);
  ~Expression();
  Expression(Expression&&) noexcept;
  Expression& operator=(Expression&&) noexcept;

  /// Throws Error(usage): types that do not go together, a key that is null, division by zero, more than 64 bits.
  Json value(const Values& values) const;
  /// The same where it must be true or false.
  bool holds(const Values& values) const;

  /// Keys that it names, each once, in order.
  const std::vector<std::string>& keys() const { return keys_; }
  const std::string& text() const { return text_; }

  struct Node;

 private:
  std::string text_, where_;
  std::vector<std::string> keys_;
  std::unique_ptr<Node> root_;
};

}  // namespace templora
