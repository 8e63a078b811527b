<?php
// WordPress's settings, from variables. For the server preverb has already read NAME_FILE and /run/secrets, but
// `docker exec` sets only NAME_FILE.
function variable(string $name, string $default): string
{
    $value = getenv($name);
    $file = getenv($name . '_FILE');
    if ($value === false && $file !== false && $file !== '') {
        $value = rtrim(file_get_contents($file), "\r\n");
    }
    return $value === false ? $default : $value;
}

define('DB_NAME', variable('WORDPRESS_DB_NAME', 'wordpress'));
define('DB_USER', variable('WORDPRESS_DB_USER', 'wordpress'));
define('DB_PASSWORD', variable('WORDPRESS_DB_PASSWORD', ''));
define('DB_HOST', variable('WORDPRESS_DB_HOST', 'mysql'));
define('DB_CHARSET', variable('WORDPRESS_DB_CHARSET', 'utf8mb4'));
define('DB_COLLATE', variable('WORDPRESS_DB_COLLATE', ''));

// Each key has its own random value, created with this file, unless a variable sets it.
define('AUTH_KEY', variable('WORDPRESS_AUTH_KEY', 'put your unique phrase here'));
define('SECURE_AUTH_KEY', variable('WORDPRESS_SECURE_AUTH_KEY', 'put your unique phrase here'));
define('LOGGED_IN_KEY', variable('WORDPRESS_LOGGED_IN_KEY', 'put your unique phrase here'));
define('NONCE_KEY', variable('WORDPRESS_NONCE_KEY', 'put your unique phrase here'));
define('AUTH_SALT', variable('WORDPRESS_AUTH_SALT', 'put your unique phrase here'));
define('SECURE_AUTH_SALT', variable('WORDPRESS_SECURE_AUTH_SALT', 'put your unique phrase here'));
define('LOGGED_IN_SALT', variable('WORDPRESS_LOGGED_IN_SALT', 'put your unique phrase here'));
define('NONCE_SALT', variable('WORDPRESS_NONCE_SALT', 'put your unique phrase here'));

$table_prefix = variable('WORDPRESS_TABLE_PREFIX', 'wp_');
define('WP_DEBUG', (bool) variable('WORDPRESS_DEBUG', ''));

// For a proxy that terminates TLS.
if (str_contains($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '', 'https')) {
    $_SERVER['HTTPS'] = 'on';
}

$extra = variable('WORDPRESS_CONFIG_EXTRA', '');
if ($extra !== '') {
    eval($extra);
}

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
