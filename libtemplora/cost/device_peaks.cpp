#include "cost/device_peaks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <map>

#include "core/error.h"
#include "core/utf8.h"

namespace templora {
namespace {

constexpr const char* kDataSheet = "vendor's data sheet: dense bfloat16 and plain float32 FLOP/s";

// SXM versions where there are several.
const std::vector<DevicePeaks>& known_devices() {
  static const std::vector<DevicePeaks> devices{
      {"H200", 989.4e12, 66.9e12, 4.8e12, 141e9, kDataSheet},
      {"H100", 989.4e12, 66.9e12, 3.35e12, 80e9, kDataSheet},
      {"A100", 312e12, 19.5e12, 2.039e12, 80e9, kDataSheet},
      {"L40S", 362.05e12, 91.6e12, 864e9, 48e9, kDataSheet},
      {"4090", 165.2e12, 82.6e12, 1008e9, 24e9, kDataSheet},
      {"cpu", 430e9, 210e9, 37e9, 24e9,
       "measured on two cores of a Zen 4 with 24 GB; give your own for another processor"}};
  return devices;
}

std::string lower(std::string text) {
  for (char& c : text) c = char(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

double positive_number(const std::string& where, const std::string& name, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value) || value <= 0)
    throw Error(Exit::usage, fmt::format("{}: {}: got \"{}\", wanted a number above 0, such as 3.35e12", where, name,
                                         printable(text)));
  return value;
}

DevicePeaks parse_peaks(const std::string& list, const std::string& where) {
  DevicePeaks peaks{"given peaks", 0, 0, 0, 0, "as given"};
  const std::map<std::string, double*> fields{{"bf16_flops", &peaks.bf16_flops},
                                              {"fp32_flops", &peaks.fp32_flops},
                                              {"bytes_per_s", &peaks.bytes_per_s},
                                              {"memory_bytes", &peaks.memory_bytes}};
  constexpr const char* kWanted = "wanted bf16_flops=N,fp32_flops=N,bytes_per_s=N,memory_bytes=N";
  for (std::size_t start = 0; start <= list.size();) {
    const std::size_t comma = std::min(list.find(',', start), list.size());
    const std::string part = list.substr(start, comma - start);
    const std::size_t equals = std::min(part.find('='), part.size());
    const auto field = fields.find(part.substr(0, equals));
    if (field == fields.end() || *field->second != 0)
      throw Error(Exit::usage, fmt::format("{}: got \"{}\", {}, each once", where, printable(part), kWanted));
    *field->second = positive_number(where, field->first, equals < part.size() ? part.substr(equals + 1) : "");
    start = comma + 1;
  }
  for (const auto& [name, value] : fields)
    if (*value == 0) throw Error(Exit::usage, fmt::format("{}: {} is missing, {}", where, name, kWanted));
  return peaks;
}

}  // namespace

DevicePeaks device_peaks(const std::string& name_or_list, const std::string& where) {
  if (name_or_list.find('=') != std::string::npos) return parse_peaks(name_or_list, where);
  for (const DevicePeaks& device : known_devices())
    if (lower(device.name) == lower(name_or_list)) return device;
  throw Error(Exit::usage, fmt::format("{}: got \"{}\", wanted one of {}, or peaks such as "
                                       "bf16_flops=9.9e14,fp32_flops=6.7e13,bytes_per_s=3.35e12,memory_bytes=8e10",
                                       where, printable(name_or_list), fmt::join(device_names(), ", ")));
}

std::vector<std::string> device_names() {
  std::vector<std::string> names;
  for (const DevicePeaks& device : known_devices()) names.push_back(device.name);
  return names;
}

}  // namespace templora
