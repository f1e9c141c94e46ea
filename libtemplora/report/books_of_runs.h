#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "run/run_data.h"

namespace templora {

/// The books of several runs that split them among themselves, read as those of one run.
class BooksOfRuns {
 public:
  /// `whose` is for errors: "--claims: runs of the full method". Throws Error(usage) where a run before read a book of
  /// it too.
  void add(RunData data, const std::string& whose);

  /// NLLs of a text by position (nll_by_position()); empty where no run has read it.
  std::vector<float> nll(const std::string& text_hash, Arm arm) const;
  bool contains(const std::string& text_hash) const { return books_.contains(text_hash); }
  /// Hashes of all texts, ascending.
  std::vector<std::string> texts() const;
  const std::deque<RunData>& runs() const { return runs_; }

 private:
  std::deque<RunData> runs_;
  std::map<std::string, std::pair<const RunData*, const BookRecord*>> books_;  // by text
};

}  // namespace templora
