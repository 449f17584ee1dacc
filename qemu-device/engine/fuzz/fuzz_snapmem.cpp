// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The libFuzzer target: each input is a run of a new engine. It makes a
// configuration and a sequence of operations from the bytes.
#include "guest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data,
                                      std::size_t size);

int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    snapmem_fuzz::Reader choices({data, size});
    snapmem_fuzz::Guest guest(choices);
    while (!choices.empty()) {
        guest.step();
    }
    guest.compare();
    guest.finish();
    return 0;
}
