#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "metrics/interval.h"
#include "report/run_summary.h"

namespace templora {

/// One of the four claims of docs/memory.md, which were fixed before the runs that test them.
struct Claim {
  std::string name, what;             ///< "H1"; "this text is learnt"
  std::optional<BookMean> nats;       ///< of the statistic, one value a book; none where it was not tested, and for H4
  std::optional<double> p, adjusted;  ///< one-sided; by Holm's procedure over all four, where one untested counts as 1
  std::string remark;                 ///< what else decides, or why it was not tested
  bool prevented = false;             ///< whatever p is: it costs no less
  /// At 5 %; none where it was not tested.
  std::optional<bool> holds() const;
};

struct ClaimTable {
  std::vector<Claim> claims;  ///< H1 to H4
  std::int64_t books = 0;     ///< that H1 was tested on
  std::string reference;      ///< of H1 and H2: "the better of the raw base and other_book"; "" where there is none
};

/// Tests the claims on finished perplexity runs, which may split the books among them: with `lora.rows` "all" and the
/// control other_book; for H3 also runs with `lora.rows` "chunk" that differ in nothing else, for H4 runs with planted
/// facts. `adapted` are runs of the adapted base, whose base column is a reference beside the others. Books are matched
/// by their text, tokens by position, and only tokens count that all sides scored. `edges` replaces score.segment_edges
/// where it is not empty. Throws Error(usage) where runs that should be alike differ by a setting, a book is read
/// twice, or there is nothing to test.
ClaimTable claim_table(const std::vector<RunSummary>& runs, const std::vector<RunSummary>& adapted = {},
                       std::vector<std::int64_t> edges = {});

std::string claims_markdown(const ClaimTable& table);
Json to_json(const ClaimTable& table);

}  // namespace templora
