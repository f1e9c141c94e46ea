#include "verify/verification.h"

#include <fmt/format.h>

namespace templora {
namespace {

constexpr std::size_t kMostShown = 5;

}  // namespace

Verification::Entry& Verification::entry(const std::string& name) {
  if (!entries_.contains(name)) order_.push_back(name);
  return entries_[name];
}

void Verification::check(const std::string& name) { entry(name); }

void Verification::check(std::initializer_list<const char*> names) {
  for (const char* name : names) entry(name);
}

void Verification::found(const std::string& name, const std::string& detail) {
  Entry& e = entry(name);
  ++findings_;
  if (e.findings.size() < kMostShown)
    e.findings.push_back(printable(detail, 600));
  else
    ++e.more;
}

bool Verification::expect(bool good, const std::string& name, const std::string& detail) {
  if (!good) found(name, detail);
  return good;
}

void Verification::not_checked(const std::string& name, const std::string& why) {
  entry(name).why_not = printable(why, 1000);
}

// Names of books and folders stand in these lines, and may hold line ends.
void Verification::remark(const std::string& text) { remarks_.push_back(printable(text, 4000)); }

bool Verification::sound(const std::string& name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() || found->second.findings.empty();
}

std::vector<CheckLine> Verification::lines() const {
  std::vector<CheckLine> lines;
  for (const std::string& name : order_) {
    const Entry& e = entries_.at(name);
    for (const std::string& finding : e.findings) lines.push_back({name, Outcome::found, finding});
    if (e.more > 0) lines.push_back({name, Outcome::found, fmt::format("and {} more of these", e.more)});
    if (!e.findings.empty()) continue;
    lines.push_back({name, e.why_not.empty() ? Outcome::ok : Outcome::not_checked, e.why_not});
  }
  return lines;
}

std::string Verification::verdict(const std::string& folder) const {
  std::size_t passed = 0, unmade = 0, named = 0;
  std::string names;
  for (const std::string& name : order_) {
    const Entry& e = entries_.at(name);
    if (!e.findings.empty())
      names += named++ < kMostShown ? (names.empty() ? "" : ", ") + name : "";
    else
      ++(e.why_not.empty() ? passed : unmade);
  }
  const std::string rest = fmt::format("{} check{} passed{}", passed, passed == 1 ? "" : "s",
                                       unmade > 0 ? fmt::format(", {} could not be made", unmade) : "");
  if (sound()) return fmt::format("{} is sound: {}", printable(folder), rest);
  if (named > kMostShown) names += fmt::format(" and {} more checks", named - kMostShown);
  return fmt::format("{} is not sound: {} finding{} in {}; {}", printable(folder), findings_, findings_ == 1 ? "" : "s",
                     names, rest);
}

std::string Verification::text(bool all) const {
  std::string out;
  for (const std::string& remark : remarks_) out += remark + "\n";
  for (const CheckLine& line : lines()) {
    if (line.outcome == Outcome::found)
      out += fmt::format("{}: {}\n", line.name, line.detail);
    else if (line.outcome == Outcome::ok)
      out += all ? fmt::format("ok {}\n", line.name) : "";
    else
      out += fmt::format("not checked {}: {}\n", line.name, line.detail);
  }
  return out;
}

Json Verification::json() const {
  Json findings = Json::array(), ok = Json::array(), not_checked = Json::array();
  for (const CheckLine& line : lines()) {
    if (line.outcome == Outcome::found)
      findings.push_back({{"name", line.name}, {"detail", line.detail}});
    else if (line.outcome == Outcome::ok)
      ok.push_back(line.name);
    else
      not_checked.push_back({{"name", line.name}, {"why", line.detail}});
  }
  return {{"sound", sound()}, {"remarks", remarks_}, {"findings", findings}, {"ok", ok}, {"not_checked", not_checked}};
}

}  // namespace templora
