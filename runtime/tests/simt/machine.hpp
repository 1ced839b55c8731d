// A graphics processor as one thread of a processor: each thread of a group is a fiber, and which of them goes on is by chance, between places where
// they wait for one another. Shared memory holds no numbers before it is written, and the end of memory is the end of a page.
#pragma once
#include <csetjmp>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

// Memory that a group shares and declares itself lies in a section of its own.
#define SIMT_SHARED static __attribute__((section("simt_shared")))
extern "C" {
extern char __start_simt_shared[] __attribute__((weak)), __stop_simt_shared[] __attribute__((weak));
}

namespace simt {

constexpr unsigned WARP = 32;
constexpr size_t STACK = 256 << 10;

struct Index {
    unsigned x = 0, y = 0, z = 0;
};

// A copy that has begun.
struct Copy {
    char* to;
    const char* from;
    unsigned bytes;
};

enum class State { Ready, AtBarrier, InWarp, Done };

// What the lanes of a warp do together, once all of them have come to it: it is given what each of them has.
typedef void (*Together)(void* const* lanes);

struct Thread {
    jmp_buf at;
    char* stack = nullptr;
    Index index;
    unsigned number = 0;
    State state = State::Done;
    bool begun = false;
    const void* site = nullptr;
    Together together = nullptr;
    void* operands = nullptr;
    std::vector<Copy> begun_copies;
    std::deque<std::vector<Copy>> copies;
};

struct Machine {
    std::vector<Thread> threads;
    std::vector<unsigned> order;
    Thread* current = nullptr;
    jmp_buf scheduler;
    std::function<void()> body;
    Index group, groups;
    unsigned size = 0, live = 0, waiting = 0;
    char* dynamic = nullptr;
    size_t dynamic_bytes = 0;
    uint64_t dice = 1;
    std::string fault;
};

inline Machine machine;

// Says what is wrong, unless something was before; everything goes on, with whatever values come of it.
__attribute__((format(printf, 1, 2))) inline void fault(const char* format, ...) {
    if (!machine.fault.empty()) return;
    char text[200];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    machine.fault = text;
}

// Lets others go on until this one may.
__attribute__((noinline)) inline void park() {
    if (_setjmp(machine.current->at) == 0) _longjmp(machine.scheduler, 1);
}

inline void open_barrier() {
    if (machine.waiting == 0 || machine.waiting != machine.live) return;
    const void* site = nullptr;
    for (Thread& thread : machine.threads) {
        if (thread.state != State::AtBarrier) continue;
        if (site && thread.site != site) fault("threads wait at different barriers");
        site = thread.site;
        thread.state = State::Ready;
    }
    machine.waiting = 0;
}

inline void barrier(const void* site) {
    Thread* self = machine.current;
    self->site = site;
    self->state = State::AtBarrier;
    machine.waiting++;
    open_barrier();
    if (self->state != State::Ready) park();
}

// All lanes of the warp come here, each with operands of its own.
inline void in_warp(Together together, void* operands) {
    Thread* self = machine.current;
    self->together = together;
    self->operands = operands;
    self->state = State::InWarp;
    Thread* lanes = &machine.threads[self->number / WARP * WARP];
    void* all[WARP];
    for (unsigned lane = 0; lane < WARP; lane++) {
        if (lanes[lane].state != State::InWarp) return park();
        all[lane] = lanes[lane].operands;
    }
    for (unsigned lane = 0; lane < WARP; lane++) {
        if (lanes[lane].together != together) fault("lanes of a warp are at different instructions");
        lanes[lane].state = State::Ready;
    }
    together(all);
}

// Copies land when their thread waits for them, and before that there is no number.
inline void begin_copy(char* to, const char* from, unsigned bytes) {
    if (uintptr_t(to) % bytes || uintptr_t(from) % bytes) return fault("a copy of %u bytes that is not aligned", bytes);
    memset(to, 0xff, bytes);
    machine.current->begun_copies.push_back({to, from, bytes});
}

inline void end_copies() {
    machine.current->copies.push_back(std::move(machine.current->begun_copies));
    machine.current->begun_copies.clear();
}

inline void await_copies(size_t others) {
    auto& copies = machine.current->copies;
    for (; copies.size() > others; copies.pop_front())
        for (const Copy& copy : copies.front()) memcpy(copy.to, copy.from, copy.bytes);
}

// Where in dynamic shared memory something is.
inline uint32_t shared_address(const void* memory) {
    return uint32_t(static_cast<const char*>(memory) - machine.dynamic);
}

inline char* shared_memory(uint32_t address, unsigned bytes) {
    if (address <= machine.dynamic_bytes && bytes <= machine.dynamic_bytes - address) return machine.dynamic + address;
    fault("%u bytes at %u of %zu that are shared", bytes, address, machine.dynamic_bytes);
    return machine.dynamic;
}

template <class T>
T* dynamic() {
    return reinterpret_cast<T*>(machine.dynamic);
}

inline void entry() {
    machine.body();
    machine.current->state = State::Done;
    machine.live--;
    open_barrier();
    _longjmp(machine.scheduler, 1);
}

inline uint64_t roll() {
    machine.dice ^= machine.dice << 13;
    machine.dice ^= machine.dice >> 7;
    return machine.dice ^= machine.dice << 17;
}

// Memory that ends with a page that nobody may touch; it is never given back.
inline char* guarded(size_t bytes) {
    const size_t page = size_t(sysconf(_SC_PAGESIZE)), whole = (bytes + page - 1) / page * page;
    void* memory = mmap(nullptr, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) abort();
    mprotect(static_cast<char*>(memory) + whole, page, PROT_NONE);
    return static_cast<char*>(memory) + whole - (bytes + 15) / 16 * 16;
}

// Lets a thread run until it waits or ends.
__attribute__((noinline)) inline void resume(Thread& thread) {
    machine.current = &thread;
    if (_setjmp(machine.scheduler) != 0) return;
    if (thread.begun) _longjmp(thread.at, 1);
    thread.begun = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = thread.stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, entry, 0);
    setcontext(&context);
}

inline void run_group() {
    if (__start_simt_shared) memset(__start_simt_shared, 0xff, size_t(__stop_simt_shared - __start_simt_shared));
    memset(machine.dynamic, 0xff, machine.dynamic_bytes);
    machine.live = machine.size;
    machine.waiting = 0;
    for (unsigned number = 0; number < machine.size; number++) {
        Thread& thread = machine.threads[number];
        thread.index.x = thread.number = number;
        thread.state = State::Ready;
        thread.begun = false;
        thread.begun_copies.clear();
        thread.copies.clear();
    }
    while (machine.live > 0) {
        for (unsigned number = machine.size; number > 1; number--) std::swap(machine.order[number - 1], machine.order[roll() % number]);
        bool going = false;
        for (unsigned number : machine.order) {
            if (machine.threads[number].state != State::Ready) continue;
            going = true;
            resume(machine.threads[number]);
        }
        if (!going) return fault("%u threads wait, and nobody goes on", machine.live);
    }
}

// Runs a kernel, and says what was wrong with it: nothing, if all is well.
inline std::string launch(Index groups, unsigned size, size_t dynamic_bytes, uint64_t dice, std::function<void()> body) {
    machine.fault.clear();
    machine.threads.resize((size + WARP - 1) / WARP * WARP);
    for (Thread& thread : machine.threads) {
        thread.state = State::Done;
        if (!thread.stack) thread.stack = guarded(STACK);
    }
    machine.order.resize(size);
    for (unsigned number = 0; number < size; number++) machine.order[number] = number;
    if (dynamic_bytes != machine.dynamic_bytes || !machine.dynamic) machine.dynamic = guarded(dynamic_bytes);
    machine.dynamic_bytes = dynamic_bytes;
    machine.body = std::move(body);
    machine.groups = groups;
    machine.size = size;
    machine.dice = dice;
    Index group;
    for (group.z = 0; group.z < groups.z; group.z++)
        for (group.y = 0; group.y < groups.y; group.y++)
            for (group.x = 0; group.x < groups.x; group.x++) {
                machine.group = group;
                run_group();
                if (!machine.fault.empty()) return machine.fault;
            }
    return "";
}

}  // namespace simt
