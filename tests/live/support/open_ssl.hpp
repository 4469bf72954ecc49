#pragma once

#include <cstddef>
#include <string>

/// OpenSSL as a program has it that finds it at run time: the tests link nothing of it.
namespace drainwatch::live {

/// The functions that the tests call, as <openssl/ssl.h> declares them.
struct OpenSsl {
    using MessageCallback = void (*)(int written, int version, int type, const void* bytes,
                                     std::size_t length, void* session, void* argument);

    const void* (*TLS_server_method)() = nullptr;
    const void* (*TLS_client_method)() = nullptr;
    void* (*SSL_CTX_new)(const void* method) = nullptr;
    int (*SSL_CTX_use_PrivateKey_file)(void* context, const char* path, int type) = nullptr;
    int (*SSL_CTX_use_certificate_file)(void* context, const char* path, int type) = nullptr;
    int (*SSL_CTX_set_num_tickets)(void* context, std::size_t count) = nullptr;
    void* (*SSL_new)(void* context) = nullptr;
    int (*SSL_set_fd)(void* session, int fd) = nullptr;
    void (*SSL_set_accept_state)(void* session) = nullptr;
    void (*SSL_set_connect_state)(void* session) = nullptr;
    int (*SSL_do_handshake)(void* session) = nullptr;
    int (*SSL_read)(void* session, void* buffer, int size) = nullptr;
    int (*SSL_write)(void* session, const void* buffer, int size) = nullptr;
    int (*SSL_get_error)(const void* session, int returned) = nullptr;
    int (*SSL_shutdown)(void* session) = nullptr;
    void (*SSL_free)(void* session) = nullptr;
    void (*SSL_set_msg_callback)(void* session, MessageCallback callback) = nullptr;
    long (*SSL_ctrl)(void* session, int command, long number, void* pointer) = nullptr;

    static constexpr int kWantRead = 2;
    static constexpr int kInnerContentType = 257;  ///< told once a record of TLS 1.3 is decrypted

    /// NULL if it is not installed. The first call loads it.
    [[nodiscard]] static const OpenSsl* load();

    /// A session of a server with this key and certificate, or of a client that trusts everyone.
    [[nodiscard]] void* new_server(int fd, const std::string& key,
                                   const std::string& certificate) const;
    [[nodiscard]] void* new_client(int fd) const;
    void set_message_callback(void* session, MessageCallback callback, void* argument) const;
};

}  // namespace drainwatch::live
