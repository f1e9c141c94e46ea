#include "core/cpus.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

namespace templora {
namespace {

/// CPUs in the affinity mask, whose size the kernel does not tell beforehand.
std::int64_t allowed_cpus() {
  for (int most = 1024; most <= (1 << 20); most *= 2) {
    cpu_set_t* set = CPU_ALLOC(std::size_t(most));
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(std::size_t(most));
    const bool known = ::sched_getaffinity(0, bytes, set) == 0;
    const int failure = errno, count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
    if (failure != EINVAL) break;
  }
  return std::max<std::int64_t>(1, std::thread::hardware_concurrency());
}

std::string first_line(const fs::path& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

/// Whole CPUs of a quota and its period, both in µs; none for "max", -1 or nonsense.
std::optional<std::int64_t> cpus_of(const std::string& quota, const std::string& period) {
  const auto number = [](const std::string& text) { return std::strtoll(text.c_str(), nullptr, 10); };
  const long long q = number(quota), p = number(period);
  if (q <= 0 || p <= 0) return std::nullopt;
  return std::max<std::int64_t>(1, q / p);
}

/// Quota of one cgroup's folder, of either version.
std::optional<std::int64_t> quota_in(const fs::path& folder) {
  std::istringstream both(first_line(folder / "cpu.max"));
  std::string quota, period;
  if (both >> quota >> period) return cpus_of(quota, period);
  return cpus_of(first_line(folder / "cpu.cfs_quota_us"), first_line(folder / "cpu.cfs_period_us"));
}

/// The smallest quota of a cgroup and those around it. In a container's own view of them the path may not be
/// there: then the mount's root is its cgroup.
void add_quota(const fs::path& mount, const std::string& path, std::optional<std::int64_t>& smallest) {
  fs::path inside = fs::path(path).relative_path().lexically_normal();
  if (std::find(inside.begin(), inside.end(), fs::path("..")) != inside.end()) inside.clear();
  for (;; inside = inside.parent_path()) {
    const std::optional<std::int64_t> quota = quota_in(mount / inside);
    if (quota) smallest = std::min(smallest.value_or(kMostThreads), *quota);
    if (inside.empty()) return;
  }
}

std::optional<std::int64_t> cgroup_quota(const fs::path& root) {
  std::optional<std::int64_t> smallest;
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "0::/path" or "4:cpu,cpuacct:/path"
    const std::size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (controllers.empty()) {
      add_quota(mounts, path, smallest);
      add_quota(mounts / "unified", path, smallest);
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      add_quota(mounts / controllers, path, smallest);
      add_quota(mounts / "cpu", path, smallest);
    }
  }
  return smallest;
}

/// "4", and of OMP_NUM_THREADS' "4,2" what holds outside nested regions.
std::optional<std::int64_t> number_in(const char* text) {
  if (text == nullptr) return std::nullopt;
  char* end = nullptr;
  const long long value = std::strtoll(text, &end, 10);
  while (*end == ' ') ++end;
  const bool whole = end != text && (*end == '\0' || *end == ',');
  return whole && value >= 1 ? std::optional<std::int64_t>(value) : std::nullopt;
}

}  // namespace

UsableCpus usable_cpus(const fs::path& root, const std::function<const char*(const char*)>& variable) {
  std::vector<std::pair<std::string, std::int64_t>> limits{{"affinity", allowed_cpus()}};
  if (const auto quota = cgroup_quota(root)) limits.emplace_back("cgroup quota", *quota);
  for (const char* name : {"SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"})
    if (const auto number = number_in(variable ? variable(name) : std::getenv(name)))
      limits.emplace_back(name, *number);
  UsableCpus usable{kMostThreads, ""};
  for (const auto& [name, limit] : limits) {
    usable.count = std::min(usable.count, limit);
    usable.why += fmt::format("{}{} {}", usable.why.empty() ? "" : ", ", name, limit);
  }
  return usable;
}

}  // namespace templora
