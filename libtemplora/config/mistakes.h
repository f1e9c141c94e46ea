#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace templora {

/// Where a key's value was written, for messages: the config file, or "--set".
using KeySource = std::function<std::string(const std::string& key)>;

/// What is wrong with a config: all of it, so that one start tells it.
class Mistakes {
 public:
  /// More lines than these are not kept.
  static constexpr std::size_t kMost = 40;

  explicit Mistakes(KeySource source) : source_(std::move(source)) {}

  /// Notes "<where>: <key>: <what>".
  void add(const std::string& key, const std::string& what);
  /// Of a rule between keys: the same, unless the value of one of them was refused already and a default stands there.
  void add_rule(const std::string& key, const std::string& what, const std::vector<std::string>& beside = {});
  /// A key that was meant by another name, and so is not absent.
  void meant(const std::string& key) { wrong_.insert(key); }
  bool none() const { return lines_.empty(); }
  bool full() const { return lines_.size() >= kMost; }
  /// Throws Error(usage) with a line for each mistake, where there is one.
  void raise() const;

  /// Whether the value of a key, of its section or of one of its items was refused.
  bool is_wrong(const std::string& key) const;

 private:
  KeySource source_;
  std::vector<std::string> lines_;
  std::set<std::string> wrong_;
  std::size_t left_out_ = 0;
};

}  // namespace templora
