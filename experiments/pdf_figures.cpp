#include "pdf_figures.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>

#include "core/error.h"
#include "core/file.h"
#include "core/file_descriptor.h"
#include "report/svg.h"

extern char** environ;

namespace templora {
namespace {

constexpr const char* kConverter = "rsvg-convert";

/// Its own messages go to standard error. Throws Error(resources) where it does not start or fails.
void convert(const std::string& svg, const std::string& pdf) {
  std::string output = "--output=" + pdf, input = svg, name = kConverter, format = "--format=pdf";
  char* const arguments[] = {name.data(), format.data(), output.data(), input.data(), nullptr};
  pid_t child = 0;
  if (const int failure = ::posix_spawnp(&child, kConverter, nullptr, nullptr, arguments, environ); failure != 0)
    throw Error(Exit::resources,
                failure == ENOENT
                    ? fmt::format("{}: not found, --format pdf wants it; install librsvg2-bin (Debian, Ubuntu), or "
                                  "take --format svg",
                                  kConverter)
                    : fmt::format("{}: cannot be started: {}", kConverter, errno_text(failure)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw Error(Exit::resources, fmt::format("{}: {}: it failed, see above", pdf, kConverter));
}

}  // namespace

std::vector<std::string> write_pdf_figures(const std::vector<Figure>& figures, const std::string& folder) {
  std::vector<std::string> written;
  for (const Figure& figure : figures) {
    const fs::path pdf = fs::path(folder) / (figure.id + ".pdf");
    const fs::path svg = pdf.string() + ".svg", half = pdf.string() + ".tmp";
    write_file_atomically(svg, stand_alone(figure.svg));
    std::error_code ignored;
    try {
      convert(svg.string(), half.string());
    } catch (...) {
      fs::remove(svg, ignored);
      fs::remove(half, ignored);
      throw;
    }
    fs::remove(svg, ignored);
    fs::rename(half, pdf);
    written.push_back(pdf.string());
  }
  return written;
}

}  // namespace templora
