#include "program_end.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <filesystem>
#include <new>
#include <system_error>

#include "model/out_of_memory.h"

namespace templora {

ProgramEnd describe_exception() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.exit_code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {Exit::resources, "out of memory; use a smaller model, window or batch"};
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    const std::string line = what.substr(0, what.find('\n'));
    if (is_out_of_memory(error)) return {Exit::resources, "out of memory: " + line};
    return {Exit(1), "LibTorch: " + line};
  } catch (const std::filesystem::filesystem_error& error) {
    // A name that cannot be followed is wrong input; the rest is the disk's.
    const std::error_code code = error.code();
    const bool name = code == std::errc::too_many_symbolic_link_levels || code == std::errc::filename_too_long ||
                      code == std::errc::not_a_directory || code == std::errc::no_such_file_or_directory;
    return {name ? Exit::bad_input : Exit::resources,
            fmt::format("{}: {}", shown_path(error.path1()), code.message())};
  } catch (const std::system_error& error) {
    return {Exit::resources, error.what()};  // standard output, most likely
  } catch (const std::exception& error) {
    return {Exit(1), fmt::format("unexpected error: {}", error.what())};
  }
}

}  // namespace templora
