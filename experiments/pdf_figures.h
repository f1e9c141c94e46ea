#pragma once

#include <string>
#include <vector>

#include "report/report.h"

namespace templora {

/// Writes each figure as `folder`/<id>.pdf, for \includegraphics, by rsvg-convert. → the files' names. Throws
/// Error(resources) where that program is missing, naming the package that has it, or where it fails.
std::vector<std::string> write_pdf_figures(const std::vector<Figure>& figures, const std::string& folder);

}  // namespace templora
