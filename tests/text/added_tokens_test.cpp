#include "text/added_tokens.h"

#include <string>
#include <vector>

#include "catch.h"

using namespace templora;

namespace {

std::vector<std::string> split(const std::vector<std::string>& tokens, const std::string& text) {
  AddedTokenTrie trie;
  for (const std::string& token : tokens) trie.add(token);
  std::vector<std::string> out;
  std::size_t begin = 0;
  for (const Segment& segment : trie.split(text)) {
    CHECK(segment.begin == begin);
    begin += segment.text.size();
    out.push_back(segment.text);
  }
  CHECK(begin == text.size());
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("AddedTokenTrie: the longest token at the leftmost start is cut out", "[unit]") {
  const Texts ids{"[CLS]", "extra_id_1", "extra_id_100"};
  CHECK(split(ids, "[CLS] This is a extra_id_100") == Texts{"[CLS]", " This is a ", "extra_id_100"});
  CHECK(split(ids, "extra_id_10") == Texts{"extra_id_1", "0"});
  CHECK(split(ids, "[CLS][CLS]") == Texts{"[CLS]", "[CLS]"});
  CHECK(split(ids, "no tokens") == Texts{"no tokens"});
  CHECK(split(ids, "").empty());
  CHECK(split({"[CLS]", "L"}, "[CLS]L") == Texts{"[CLS]", "L"});
  CHECK(split({"blowing", "lower"}, "blower") == Texts{"b", "lower"});
  CHECK(split({"\u53cb\u9054"}, "\u53cb\u53cb\u9054\u9054") == Texts{"\u53cb", "\u53cb\u9054", "\u9054"});
  CHECK(split({"a\xcc\x81"}, "a a\xcc\x81") == Texts{"a ", "a\xcc\x81"});
}

TEST_CASE("AddedTokenTrie: an empty token matches nothing", "[unit]") { CHECK(split({""}, "ab") == Texts{"ab"}); }

TEST_CASE("apply_token_rules: neighbours lose white space and single words need spaces", "[unit]") {
  const auto apply = [](const AddedToken& token, const std::string& text) {
    AddedTokenTrie trie;
    trie.add(token.content);
    auto segments = trie.split(text);
    apply_token_rules(segments, {{token.content, token}});
    Texts out;
    for (const Segment& segment : segments) {
      if (!segment.text.empty()) out.push_back(segment.text);
    }
    return out;
  };
  CHECK(apply({"<t>", false, true, false}, "a \u3000<t> b") == Texts{"a", "<t>", " b"});
  CHECK(apply({"<t>", false, false, true}, "a <t>\n b") == Texts{"a ", "<t>", "b"});
  CHECK(apply({"<t>", false, true, true}, " <t> ") == Texts{"<t>"});
  CHECK(apply({"<t>", true, false, false}, "a <t> b") == Texts{"a ", "<t>", " b"});
  CHECK(apply({"<t>", true, false, false}, "a<t> b") == Texts{"a<t>", " b"});
  CHECK(apply({"<t>", true, false, false}, "a <t>b") == Texts{"a ", "<t>b"});
  CHECK(apply({"<t>", true, false, false}, "a\n<t> b") == Texts{"a\n<t>", " b"});
}
