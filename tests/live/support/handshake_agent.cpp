#include "support/handshake_agent.hpp"

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <array>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace drainwatch::live {
namespace {

/// From <linux/handshake.h>, which headers before 6.4 do not have.
constexpr std::uint8_t kCommandAccept = 2;
constexpr std::uint8_t kCommandDone = 3;
constexpr std::uint16_t kAcceptSocket = 1;
constexpr std::uint16_t kAcceptHandlerClass = 2;
constexpr std::uint16_t kDoneStatus = 1;
constexpr std::uint16_t kDoneSocket = 2;
constexpr std::uint32_t kHandlerClassTlshd = 1;

using Bytes = std::array<char, 16384>;

/// One command and its attributes.
class Request {
public:
    Request(std::uint16_t family, std::uint8_t command, std::uint8_t version)
        : header_(mnl_nlmsg_put_header(bytes_.data()))
    {
        static std::uint32_t sequence = 0;
        header_->nlmsg_type = family;
        header_->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
        header_->nlmsg_seq = ++sequence;
        auto* generic =
            static_cast<genlmsghdr*>(mnl_nlmsg_put_extra_header(header_, sizeof(genlmsghdr)));
        generic->cmd = command;
        generic->version = version;
    }

    Request& with(std::uint16_t attribute, std::uint32_t value)
    {
        mnl_attr_put_u32(header_, attribute, value);
        return *this;
    }

    Request& with(std::uint16_t attribute, const std::string& value)
    {
        mnl_attr_put_strz(header_, attribute, value.c_str());
        return *this;
    }

    [[nodiscard]] const nlmsghdr& header() const { return *header_; }

private:
    Bytes bytes_{};
    nlmsghdr* header_;
};

using TakeAttribute = std::function<void(const nlattr&)>;

int take_attribute(const nlattr* attribute, void* take)
{
    (*static_cast<const TakeAttribute*>(take))(*attribute);
    return MNL_CB_OK;
}

void for_each_in(const nlattr& nest, TakeAttribute take)
{
    (void)mnl_attr_parse_nested(&nest, take_attribute, &take);
}

int take_message(const nlmsghdr* message, void* take)
{
    return mnl_attr_parse(message, sizeof(genlmsghdr), take_attribute, take);
}

/// Sends it, and takes the attributes of the answer; false if the kernel refuses.
bool ask(mnl_socket* socket, const Request& request, TakeAttribute take)
{
    if (mnl_socket_sendto(socket, &request.header(), request.header().nlmsg_len) < 0) {
        return false;
    }
    Bytes answer;
    for (int more = MNL_CB_OK; more > MNL_CB_STOP;) {
        const ssize_t length = mnl_socket_recvfrom(socket, answer.data(), answer.size());
        if (length < 0) {
            return false;
        }
        more =
            mnl_cb_run(answer.data(), static_cast<std::size_t>(length), request.header().nlmsg_seq,
                       mnl_socket_get_portid(socket), take_message, &take);
        if (more < 0) {
            return false;
        }
    }
    return true;
}

mnl_socket* open_socket()
{
    mnl_socket* socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
    if (socket == nullptr || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) != 0) {
        throw std::runtime_error("no generic netlink");
    }
    return socket;
}

/// The number of a group, from one of a family's list.
std::optional<std::uint32_t> number_of(const nlattr& group, std::string_view wanted)
{
    std::string_view name;
    std::uint32_t number = 0;
    for_each_in(group, [&](const nlattr& attribute) {
        switch (mnl_attr_get_type(&attribute)) {
            case CTRL_ATTR_MCAST_GRP_NAME: name = mnl_attr_get_str(&attribute); break;
            case CTRL_ATTR_MCAST_GRP_ID: number = mnl_attr_get_u32(&attribute); break;
            default: break;
        }
    });
    return name == wanted ? std::optional(number) : std::nullopt;
}

}  // namespace

void HandshakeAgent::Closer::operator()(mnl_socket* socket) const
{
    mnl_socket_close(socket);
}

HandshakeAgent::HandshakeAgent(std::uint16_t family, Socket requests, Socket news)
    : family_(family), requests_(std::move(requests)), news_(std::move(news))
{}

std::optional<HandshakeAgent> HandshakeAgent::open()
{
    Socket requests(open_socket());
    Socket news(open_socket());
    std::uint16_t family = 0;
    std::optional<std::uint32_t> group;
    const auto take = [&](const nlattr& attribute) {
        if (mnl_attr_get_type(&attribute) == CTRL_ATTR_FAMILY_ID) {
            family = mnl_attr_get_u16(&attribute);
        } else if (mnl_attr_get_type(&attribute) == CTRL_ATTR_MCAST_GROUPS) {
            for_each_in(attribute, [&](const nlattr& one) {
                const auto number = number_of(one, "tlshd");
                group = number ? number : group;
            });
        }
    };
    const bool is_there =
        ask(requests.get(),
            Request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1).with(CTRL_ATTR_FAMILY_NAME, "handshake"),
            take);
    if (!is_there || family == 0 || !group) {
        return std::nullopt;
    }
    if (mnl_socket_setsockopt(news.get(), NETLINK_ADD_MEMBERSHIP, &*group, sizeof(*group)) != 0) {
        throw std::runtime_error("cannot be an agent of handshakes");
    }
    return HandshakeAgent(family, std::move(requests), std::move(news));
}

std::optional<int> HandshakeAgent::accept(std::chrono::milliseconds limit)
{
    pollfd ready{mnl_socket_get_fd(news_.get()), POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(limit.count())) <= 0) {
        return std::nullopt;
    }
    Bytes ignored;
    (void)mnl_socket_recvfrom(news_.get(), ignored.data(), ignored.size());
    std::optional<int> fd;
    (void)ask(requests_.get(),
              Request(family_, kCommandAccept, 1).with(kAcceptHandlerClass, kHandlerClassTlshd),
              [&](const nlattr& attribute) {
                  if (mnl_attr_get_type(&attribute) == kAcceptSocket) {
                      fd = static_cast<int>(mnl_attr_get_u32(&attribute));
                  }
              });
    return fd;
}

bool HandshakeAgent::done(int fd, int status)
{
    return ask(requests_.get(),
               Request(family_, kCommandDone, 1)
                   .with(kDoneStatus, static_cast<std::uint32_t>(status))
                   .with(kDoneSocket, static_cast<std::uint32_t>(fd)),
               [](const nlattr&) {});
}

}  // namespace drainwatch::live
