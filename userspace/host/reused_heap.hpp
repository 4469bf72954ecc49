#pragma once

namespace drainwatch {

/// While it lives, memory that is freed is kept, and used again. To load BPF objects takes tens of
/// megabytes, several times over, and the first touch of a page costs more than what is done in
/// it. After it some megabytes are kept still: the first look for a cause needs them, and must not
/// be late. One at a time, and while there is no other thread.
class ReusedHeap {
public:
    ReusedHeap();
    ~ReusedHeap();
    ReusedHeap(const ReusedHeap&) = delete;
    ReusedHeap& operator=(const ReusedHeap&) = delete;
};

}  // namespace drainwatch
