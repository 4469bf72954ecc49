#include "support/open_ssl.hpp"

#include <dlfcn.h>
#include <stdexcept>

namespace drainwatch::live {
namespace {

constexpr int kPem = 1;                // SSL_FILETYPE_PEM
constexpr int kCallbackArgument = 16;  // SSL_CTRL_SET_MSG_CALLBACK_ARG

template <typename Function>
void find(void* library, Function& function, const char* name)
{
    function = reinterpret_cast<Function>(dlsym(library, name));
    if (function == nullptr) {
        throw std::runtime_error(std::string("OpenSSL has no ") + name);
    }
}

OpenSsl functions_of(void* library)
{
    OpenSsl ssl;
    find(library, ssl.TLS_server_method, "TLS_server_method");
    find(library, ssl.TLS_client_method, "TLS_client_method");
    find(library, ssl.SSL_CTX_new, "SSL_CTX_new");
    find(library, ssl.SSL_CTX_use_PrivateKey_file, "SSL_CTX_use_PrivateKey_file");
    find(library, ssl.SSL_CTX_use_certificate_file, "SSL_CTX_use_certificate_file");
    find(library, ssl.SSL_CTX_set_num_tickets, "SSL_CTX_set_num_tickets");
    find(library, ssl.SSL_new, "SSL_new");
    find(library, ssl.SSL_set_fd, "SSL_set_fd");
    find(library, ssl.SSL_set_accept_state, "SSL_set_accept_state");
    find(library, ssl.SSL_set_connect_state, "SSL_set_connect_state");
    find(library, ssl.SSL_do_handshake, "SSL_do_handshake");
    find(library, ssl.SSL_read, "SSL_read");
    find(library, ssl.SSL_write, "SSL_write");
    find(library, ssl.SSL_get_error, "SSL_get_error");
    find(library, ssl.SSL_shutdown, "SSL_shutdown");
    find(library, ssl.SSL_free, "SSL_free");
    find(library, ssl.SSL_set_msg_callback, "SSL_set_msg_callback");
    find(library, ssl.SSL_ctrl, "SSL_ctrl");
    return ssl;
}

}  // namespace

const OpenSsl* OpenSsl::load()
{
    static void* const kLibrary = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
    if (kLibrary == nullptr) {
        return nullptr;
    }
    static const OpenSsl kFunctions = functions_of(kLibrary);
    return &kFunctions;
}

void* OpenSsl::new_server(int fd, const std::string& key, const std::string& certificate) const
{
    void* context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), kPem) != 1 ||
        SSL_CTX_use_certificate_file(context, certificate.c_str(), kPem) != 1) {
        throw std::runtime_error("OpenSSL does not take the certificate");
    }
    SSL_CTX_set_num_tickets(context, 0);  // nobody would read them
    void* session = SSL_new(context);
    SSL_set_fd(session, fd);
    SSL_set_accept_state(session);
    return session;
}

void* OpenSsl::new_client(int fd) const
{
    void* session = SSL_new(SSL_CTX_new(TLS_client_method()));
    SSL_set_fd(session, fd);
    SSL_set_connect_state(session);
    return session;
}

void OpenSsl::set_message_callback(void* session, MessageCallback callback, void* argument) const
{
    SSL_set_msg_callback(session, callback);
    SSL_ctrl(session, kCallbackArgument, 0, argument);
}

}  // namespace drainwatch::live
