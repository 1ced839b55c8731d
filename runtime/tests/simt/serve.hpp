// Runs kernels of a module for a program at the other end of standard input and output.
#pragma once
#include "machine.hpp"

namespace simt {

// An argument of a kernel.
struct Argument {
    char* memory = nullptr;
    unsigned number = 0;

    template <class T>
    operator T*() const {
        return reinterpret_cast<T*>(memory);
    }
    operator unsigned() const { return number; }
};

inline void read_all(void* to, size_t bytes) {
    if (fread(to, 1, bytes, stdin) != bytes) exit(1);
}

inline uint32_t read_number() {
    uint32_t number;
    read_all(&number, sizeof number);
    return number;
}

inline void write_all(const void* from, size_t bytes) {
    if (fwrite(from, 1, bytes, stdout) != bytes) exit(1);
    fflush(stdout);
}

struct Buffer {
    char* memory;
    uint32_t bytes;
};

// Requests begin with a letter: `p` puts bytes, `g` gets them, `r` runs a kernel.
inline int serve(const std::function<void(const std::string&, const std::vector<Argument>&)>& call) {
    std::vector<Buffer> buffers;
    for (int request; (request = getchar()) != EOF;) {
        if (request == 'p') {
            const uint32_t bytes = read_number();
            buffers.push_back({guarded(bytes), bytes});
            read_all(buffers.back().memory, bytes);
        } else if (request == 'g') {
            const Buffer& buffer = buffers.at(read_number());
            write_all(buffer.memory, buffer.bytes);
        } else {
            std::string name(read_number(), ' ');
            read_all(&name[0], name.size());
            Index groups;
            groups.x = read_number();
            groups.y = read_number();
            groups.z = read_number();
            const uint32_t block = read_number(), dynamic_bytes = read_number(), dice = read_number();
            std::vector<Argument> arguments(read_number());
            for (Argument& argument : arguments) {
                const bool is_memory = read_number() != 0;
                const uint32_t number = read_number();
                if (is_memory) argument.memory = buffers.at(number).memory;
                else argument.number = number;
            }
            const std::string fault = launch(groups, block, dynamic_bytes, dice, [&] { call(name, arguments); });
            const uint32_t length = uint32_t(fault.size());
            write_all(&length, sizeof length);
            write_all(fault.data(), fault.size());
        }
    }
    return 0;
}

}  // namespace simt
