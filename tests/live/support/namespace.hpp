#pragma once

#include <string>

namespace drainwatch::live {

/// The calling thread (or process, if it has but one) enters the network namespace of this name;
/// an empty name is the one it is in.
void enter_namespace(const std::string& name);

/// A network namespace of the test's own, with loopback up; gone at the end.
class NetworkNamespace {
public:
    NetworkNamespace();
    ~NetworkNamespace();
    NetworkNamespace(const NetworkNamespace&) = delete;
    NetworkNamespace& operator=(const NetworkNamespace&) = delete;

    [[nodiscard]] const std::string& name() const { return name_; }

private:
    std::string name_;
};

}  // namespace drainwatch::live
