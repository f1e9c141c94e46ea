#pragma once

#include <cstddef>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

/// How a templora program ends; the numbers are its exit codes.
enum class Exit {
  done = 0,
  usage = 2,        ///< command line or config file
  bad_input = 3,    ///< a model folder, a text, a record that was read
  resources = 4,    ///< memory, disk, device
  numerics = 5,     ///< NaN or divergence
  interrupted = 75  ///< stopped by a signal, state saved
};

/// The one exception type. Its message is a line, of a config one for each mistake, that says what is wrong, where,
/// what was got, what was wanted and what to do next; `exit_code` is how a program that cannot go on ends. Names in a
/// message can be any text: what would end a line in it is not kept (printable()).
class Error : public std::runtime_error {
 public:
  Error(Exit exit_code, const std::string& message);
  Error(Exit exit_code, const std::vector<std::string>& lines);  ///< what() has them with line ends between
  Exit exit_code() const { return exit_code_; }

 private:
  Exit exit_code_;
};

/// Foreign text (a tensor's name, a key) as it may stand in a message, which it can neither end nor turn round: control
/// characters, line separators, changes of direction and bytes that are not UTF-8 become '?', and what is longer than
/// `max_bytes` ends in "...".
std::string printable(std::string_view text, std::size_t max_bytes = 160);

/// A path as it may stand in a message: printable, and whole.
std::string shown_path(const std::filesystem::path& path);

}  // namespace templora
