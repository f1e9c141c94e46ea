#include "report/perplexity_plot.h"

#include <fmt/format.h>

#include "report/figures.h"
#include "report/svg.h"

namespace templora {

std::string perplexity_svg(const RunData& run) {
  const std::string title =
      fmt::format("Perplexity by position in the book ({} book{})", run.books.size(), run.books.size() == 1 ? "" : "s");
  return stand_alone(position_figure(position_curves(position_bins(run)), title));
}

}  // namespace templora
