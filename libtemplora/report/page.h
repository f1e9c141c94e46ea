#pragma once

#include <string>

#include "report/report.h"

namespace templora {

/// The whole report as one HTML file that needs nothing else: figures as inline SVG, no script, no network, light or
/// dark as the reader's system is. Where the pointer rests on a number it shows its full precision and its runs.
std::string report_page(const Report& report);

}  // namespace templora
