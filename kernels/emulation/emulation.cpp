// The fibers' scheduler, and what the host asks of it.
#include "emulation.h"

#include <sys/mman.h>

namespace emulation {

thread_local Block *block = nullptr;

#ifdef __x86_64__
asm(R"(
.text
.globl emulation_switch
.hidden emulation_switch
.type emulation_switch, @function
emulation_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulation_switch, .-emulation_switch
)");
#endif

#ifdef EMULATION_ASAN
#define BEFORE_FIBER(f) __sanitizer_start_switch_fiber(&block->scheduler_fake_stack, (f)->stack, STACK_BYTES)
#define AFTER_FIBER() __sanitizer_finish_switch_fiber(block->scheduler_fake_stack, nullptr, nullptr)
#else
#define BEFORE_FIBER(f)
#define AFTER_FIBER()
#endif

/// From a thread to the scheduler.
void leave() {
    Fiber *self = block->current;
#ifdef EMULATION_ASAN
    __sanitizer_start_switch_fiber(self->done ? nullptr : &self->fake_stack, block->scheduler_stack, block->scheduler_stack_bytes);
#endif
#ifdef __x86_64__
    emulation_switch(&self->stack_pointer, block->scheduler_pointer);
#else
    swapcontext(&self->context, &block->scheduler_context);
#endif
#ifdef EMULATION_ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, &block->scheduler_stack, &block->scheduler_stack_bytes);
#endif
}

static void enter() {
#ifdef EMULATION_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &block->scheduler_stack, &block->scheduler_stack_bytes);
#endif
    block->body();
    block->current->done = true;
    leave();
    abort();
}

static void start(Fiber &f) {
#ifdef __x86_64__
    // The first switch pops six registers and returns into `enter`, with the stack as a call would leave it.
    uintptr_t top = (reinterpret_cast<uintptr_t>(f.stack) + STACK_BYTES) & ~static_cast<uintptr_t>(15);
    void **sp = reinterpret_cast<void **>(top) - 8;
    for (int i = 0; i < 8; i++) sp[i] = nullptr;
    sp[6] = reinterpret_cast<void *>(&enter);
    f.stack_pointer = sp;
#else
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack;
    f.context.uc_stack.ss_size = STACK_BYTES;
    f.context.uc_link = nullptr;
    makecontext(&f.context, enter, 0);
#endif
}

static void go_on(Fiber *f) {
    block->current = f;
    BEFORE_FIBER(f);
#ifdef __x86_64__
    emulation_switch(&block->scheduler_pointer, f->stack_pointer);
#else
    swapcontext(&block->scheduler_context, &f->context);
#endif
    AFTER_FIBER();
}

/// Stacks are kept for the next block: making them costs more than running on them.
struct Stacks {
    std::vector<char *> all;
    char *get(size_t i) {
        while (all.size() <= i) {
            // A page below each is unmapped, so that a stack that overflows is a fault and no riddle.
            char *room = static_cast<char *>(mmap(nullptr, STACK_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
            if (room == MAP_FAILED) abort();
            mprotect(room, 4096, PROT_NONE);
            all.push_back(room + 4096);
        }
        return all[i];
    }
    ~Stacks() {
        for (char *s : all) munmap(s - 4096, STACK_BYTES + 4096);
    }
};
static thread_local Stacks stacks;

static void *allocate(size_t alignment, size_t bytes) {
    void *p = nullptr;
    return posix_memalign(&p, alignment, std::max<size_t>(bytes, 1)) == 0 ? p : nullptr;
}

// Around memory stands what no kernel may change, and whose numbers are none as f32 and as bf16. It differs from place to place and from buffer to
// buffer: what a kernel copies from behind one buffer to behind another shows too. The address sanitizer has its own.
#ifdef EMULATION_ASAN
constexpr size_t FENCE_BYTES = 0, FENCE_BYTES_ALIGNED = 0;
#else
constexpr size_t FENCE_BYTES = 256, FENCE_BYTES_ALIGNED = 1024;
#endif

/// The fences of memory of so many bytes at `p`; tells whether they were as they are left.
static bool set_fences(unsigned char *p, size_t bytes) {
    bool same = true;
    for (size_t i = 0; i < 2 * FENCE_BYTES; i++) {
        unsigned char *at = i < FENCE_BYTES ? p - FENCE_BYTES + i : p + bytes + (i - FENCE_BYTES);
        // The upper halves are 0xff.
        uint64_t word = (reinterpret_cast<uintptr_t>(at) / 2 + bytes) * 0x9e3779b97f4a7c15ull;
        unsigned char value = reinterpret_cast<uintptr_t>(at) % 2 ? 0xff : 0x81 + (word >> 32) % 126;
        same = same && *at == value;
        *at = value;
    }
    return same;
}

static const char *run_block(const std::function<void()> &body, size_t shared_bytes) {
    unsigned n = n_threads();
    block->body = body;
    block->live = n;
    block->all = {};
    for (auto &b : block->named) b = {};
    block->warps.assign((n + 31) / 32, {});
    block->groups.assign((n + 127) / 128, {});
    block->tensor_copies.clear();
    block->fibers.assign(n, {});
    block->ready.clear();
    block->asking.clear();
    // 0xff in every byte is NaN as f32 and as bf16. The room ends where the kernel's does.
    std::unique_ptr<void, void (*)(void *)> room(allocate(1024, FENCE_BYTES_ALIGNED + shared_bytes + FENCE_BYTES), free);
    block->shared = static_cast<unsigned char *>(room.get()) + FENCE_BYTES_ALIGNED;
    block->shared_bytes = shared_bytes;
    memset(block->shared, 0xff, shared_bytes);
    set_fences(block->shared, shared_bytes);
    for (unsigned i = 0; i < n; i++) {
        Fiber &f = block->fibers[i];
        f.index = i;
        f.thread = {i % block->block.x, i / block->block.x % block->block.y, i / (block->block.x * block->block.y)};
        f.stack = stacks.get(i);
        start(f);
    }
    // Warps come in any order.
    std::vector<unsigned> warps(block->warps.size());
    for (unsigned w = 0; w < warps.size(); w++) {
        warps[w] = w;
        std::swap(warps[w], warps[block->next_random(w + 1)]);
    }
    for (unsigned w : warps) {
        for (unsigned i = 32 * w; i < std::min(n, 32 * w + 32); i++) block->ready.push_back(&block->fibers[i]);
    }
    unsigned left = n;
    while (left) {
        if (block->ready.empty()) block->ready.swap(block->asking);
        if (block->ready.empty()) {
            if (block->tensor_copies.empty()) return "a block's threads all wait: a barrier that not all of them reach";
            return "a block's threads all wait while copies are under way";
        }
        unsigned n_ready = static_cast<unsigned>(block->ready.size());
        unsigned i = block->ahead && block->next_random(32) ? n_ready - 1 : block->next_random(n_ready);
        Fiber *f = block->ready[i];
        block->ready[i] = block->ready.back();
        block->ready.pop_back();
        go_on(f);
        // Who made itself ready only asks again.
        if (block->ahead && !block->ready.empty() && block->ready.back() == f) {
            block->ready.pop_back();
            block->asking.push_back(f);
        }
        if (block->failure) return block->failure;
        if (f->done) {
            left--;
            // Those that have ended count as arrived.
            if (--block->live && block->all.arrived >= block->live) wake(block->all);
        }
    }
    for (auto &w : block->warps) {
        if (w.barrier.arrived) return "a warp's lanes wait for one that has ended";
    }
    if (!set_fences(block->shared, shared_bytes)) return "it wrote before or behind its shared memory";
    return nullptr;
}

const char *run(dim3 grid, dim3 threads, size_t shared_bytes, uint64_t seed, const std::function<void()> &body) {
    static thread_local Block room;
    block = &room;
    block->grid = grid;
    block->block = threads;
    block->random = seed * 0x9e3779b97f4a7c15ull | 1;
    block->failure = nullptr;
    block->ahead = seed % 2 == 0;
    size_t n_blocks = static_cast<size_t>(grid.x) * grid.y * grid.z;
    // Blocks run in an order of the seed too: none may depend on another.
    std::vector<size_t> order(n_blocks);
    for (size_t i = 0; i < n_blocks; i++) order[i] = i;
    for (size_t i = n_blocks; i > 1; i--) std::swap(order[i - 1], order[block->next_random(static_cast<unsigned>(i))]);
    for (size_t i : order) {
        block->place = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y), static_cast<unsigned>(i / grid.x / grid.y)};
        if (const char *failure = run_block(body, shared_bytes)) return failure;
    }
    return nullptr;
}

} // namespace emulation

/// Device memory, which ends where it was asked to end: every byte 0xff, which no kernel may take for a result.
extern "C" void *polder_emulation_alloc(size_t bytes) {
    unsigned char *p = static_cast<unsigned char *>(emulation::allocate(256, bytes + 2 * emulation::FENCE_BYTES));
    if (!p) return nullptr;
    memset(p, 0xff, bytes + 2 * emulation::FENCE_BYTES);
    emulation::set_fences(p + emulation::FENCE_BYTES, bytes);
    return p + emulation::FENCE_BYTES;
}

extern "C" void polder_emulation_free(void *p) { free(static_cast<unsigned char *>(p) - emulation::FENCE_BYTES); }

/// Tells whether nobody has written around memory.
extern "C" bool polder_emulation_is_whole(void *p, size_t bytes) { return emulation::set_fences(static_cast<unsigned char *>(p), bytes); }

struct Entry {
    const char *name;
    void (*call)(void **);
};
extern const Entry emulation_entries[];

/// Runs a kernel by name; returns null, or what went wrong.
extern "C" const char *polder_emulation_launch(const char *name, const unsigned *grid, unsigned threads, size_t shared_bytes, uint64_t seed, void **arguments) {
    for (const Entry *e = emulation_entries; e->name; e++) {
        if (strcmp(e->name, name) == 0) {
            return emulation::run({grid[0], grid[1], grid[2]}, {threads, 1, 1}, shared_bytes, seed, [&] { e->call(arguments); });
        }
    }
    return "there is no kernel of that name";
}
