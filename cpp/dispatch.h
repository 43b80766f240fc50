// SPDX-License-Identifier: BSD-3-Clause
// Which instruction sets were compiled in, which this processor runs, and the one in use. Compiled
// for the plain baseline; the only place that chooses a kernel table.
//
// The default is the best that can run; FASTRELU_ISA forces one. select_isa throws
// std::invalid_argument for a name that is unknown or cannot run here. Switching while another
// thread computes is harmless (every table gives the same bits) but meant for tests.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace fastrelu {

std::vector<std::string> compiled_isas();   // best first
std::vector<std::string> available_isas();  // those of them that this processor runs
std::string active_isa();
void select_isa(const std::string& name);
// FASTRELU_ISA if set, else the best. Called once, at import; throws std::invalid_argument for an
// instruction set that is not there.
void select_isa_from_environment();

template <class T>
const KernelTable<T>& kernels();

}  // namespace fastrelu
