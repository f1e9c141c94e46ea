// Catch2's main, compiled once and without torch, because it is what takes longest in a test.
// Catch2 v3 brings its own main as a library; then this file is empty.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
