# The network: wired cards, their PHYs and the protocols. With the profile generic, unless --no-network leaves it out.
# "group TITLE" names what follows, for the sizes that a build prints; "phys" is every module with an alias of the bus mdio.

group cards of virtual machines
virtio_net
vmxnet3
hv_netvsc
ena
xen_netfront

group cards of PCs
e1000
e1000e
igb
igc
r8169
tg3
atlantic
8139cp
8139too

group cards of servers
ixgbe
i40e
bnxt_en

# Cards ask the kernel for these by the PHY that they find (request_module("mdio:…") in drivers/net/phy/phy_device.c), so that no table
# of dependencies names them. MDIO buses and PCS come as dependencies of the cards.
group PHYs
phys

# The usual ones, no modems and telephones; --add-module brings others.
group USB cards
r8152
ax88179_178a
cdc_ether
cdc_ncm
r8153_ecm

# Built in by most kernels, but not by all.
group protocols
af_packet
ipv6
8021q

# Not built in anywhere; a root of AoE has nothing else to ask its server with.
group AoE
aoe

# The kernel's client asks for its versions by name, and nobody answers in a native initramfs but us.
group NFS
nfsv3
nfsv4
