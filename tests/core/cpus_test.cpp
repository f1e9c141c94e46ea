#include "core/cpus.h"

#include <sched.h>

#include <fstream>
#include <map>

#include "catch.h"
#include "fixtures.h"

using namespace templora;
using namespace templora_test;
namespace fs = std::filesystem;

namespace {

/// A made-up /proc and /sys, and an environment.
struct Host {
  TempFolder folder;
  std::map<std::string, std::string> environment;

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << text << "\n";
  }
  UsableCpus usable() const {
    return usable_cpus(folder.path(), [this](const char* name) {
      const auto found = environment.find(name);
      return found == environment.end() ? nullptr : found->second.c_str();
    });
  }
};

}  // namespace

TEST_CASE("usable_cpus: without limits the scheduler's mask counts", "[unit]") {
  cpu_set_t set;
  REQUIRE(::sched_getaffinity(0, sizeof set, &set) == 0);
  const Host host;
  CHECK(host.usable().count == CPU_COUNT(&set));
  CHECK(host.usable().why == "affinity " + std::to_string(CPU_COUNT(&set)));
}

TEST_CASE("usable_cpus: a process pinned to one CPU has one", "[unit]") {
  cpu_set_t before, one;
  REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
  const UsableCpus usable = Host().usable();
  ::sched_setaffinity(0, sizeof before, &before);
  CHECK(usable.count == 1);
}

TEST_CASE("usable_cpus: the smallest quota of a cgroup and those around it counts, in whole CPUs", "[unit]") {
  Host host;
  host.write("proc/self/cgroup", "0::/a/b");
  host.write("sys/fs/cgroup/cpu.max", "max 100000");
  host.write("sys/fs/cgroup/a/cpu.max", "190000 100000");
  host.write("sys/fs/cgroup/a/b/cpu.max", "max 100000");
  CHECK(host.usable().count == 1);
  CHECK(host.usable().why.find("cgroup quota 1") != std::string::npos);
  host.write("sys/fs/cgroup/a/cpu.max", "50000 100000");  // half a CPU is one
  CHECK(host.usable().count == 1);
  host.write("sys/fs/cgroup/a/cpu.max", "max 100000");
  CHECK(host.usable().why.find("quota") == std::string::npos);
  // A container that sees the path of its host finds its own cgroup at the mount's root.
  host.write("proc/self/cgroup", "0::/../../docker/x");
  host.write("sys/fs/cgroup/cpu.max", "100000 100000");
  CHECK(host.usable().count == 1);
}

TEST_CASE("usable_cpus: quotas of cgroups of version 1", "[unit]") {
  Host host;
  host.write("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/x\n3:cpuset:/x");
  host.write("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "-1");
  host.write("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000");
  CHECK(host.usable().why.find("quota") == std::string::npos);
  host.write("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "100000");
  CHECK(host.usable().why.find("cgroup quota 1") != std::string::npos);
}

TEST_CASE("usable_cpus: the environment's limits count where they are numbers", "[unit]") {
  Host host;
  host.environment = {{"OMP_NUM_THREADS", "1"}};
  CHECK(host.usable().count == 1);
  host.environment = {{"SLURM_CPUS_PER_TASK", "1"}, {"OMP_NUM_THREADS", "4,2"}};
  CHECK(host.usable().count == 1);
  CHECK(host.usable().why.find("SLURM_CPUS_PER_TASK 1, OMP_NUM_THREADS 4") != std::string::npos);
  host.environment = {{"SLURM_CPUS_PER_TASK", ""}, {"OMP_NUM_THREADS", "many"}};
  CHECK(host.usable().why.find("OMP") == std::string::npos);
  host.environment = {{"OMP_NUM_THREADS", "0"}, {"SLURM_CPUS_PER_TASK", "-3"}};
  CHECK(host.usable().count >= 1);
  CHECK(host.usable().why.find(',') == std::string::npos);
}
