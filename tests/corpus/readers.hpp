#pragma once

#include "corpus/ledger.hpp"
#include "corpus/plan.hpp"

namespace drainwatch::corpus {

/// The body of the target: accepts connections and reads them as the plan says, until
/// ledger.quit. Of what befalls it, it does itself what a process does to itself.
void read_links(int listener, const Plan& plan, Ledger& ledger);

}  // namespace drainwatch::corpus
