// SPDX-License-Identifier: BSD-3-Clause
// What the kernels of wide layers are told of this machine: sizes of blocks that fit its caches.
// They change how fast a step is, never a bit of it.
//
// By default they follow the sizes of the caches, as the system gives them; FASTRELU_TUNE forces
// them. Any thread may read them; to set them while another thread computes is harmless, but meant
// for measurements and tests.
#pragma once

#include <cstddef>
#include <string>

namespace fastrelu {

struct Tuning {
  // Terms of a chain that run before the accumulators are stored, at most kMostChainTerms: the
  // right operand of a tile, 128 bytes a term, then stays in the L1 cache.
  std::size_t chain_terms;
  // Of the left operand of the weight gradient, so many bytes stay in the L2 cache.
  std::size_t gradient_bytes;
  // The rows of the next minibatch are fetched while this one is computed.
  bool prefetch;
};

// Bytes of a core's data caches; 0 where the system does not say.
struct Caches {
  std::size_t l1, l2;
};
Caches caches_here();
Tuning tuning_for(const Caches& caches);

Tuning tuning();
// As FASTRELU_TUNE has it, such as "chain=256,gradient=256K,prefetch=on".
std::string tuning_text();
// Parts of such a text, the others as they follow the caches; an empty one for all of these.
// Throws std::invalid_argument for anything else, and then changes nothing.
void set_tuning(const std::string& wanted);
// FASTRELU_TUNE if set. Called once, at import; throws as set_tuning does.
void set_tuning_from_environment();

}  // namespace fastrelu
